"""Two runs of a study: what changed moves, what is worse fails, and what another machine rounds is no alarm."""

import json
import shutil

import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.errors import InputError, ResultsError
from seqlight.studies import Case, Study, open_study
from seqlight.studies.comparison.comparison import compare
from study_implementations import ABSENT, EXACT, PEER, Net

X = sl.random_one_hot((3, 4, 20), random_state=0)


OTHER = {
    "net": {},
    "other weights": {"model": Net(1, "by_position")},
    "other output": {"target": 1},
    "reversed": {"X": X.flip(-1)},
    "more references": {"references": sl.dinucleotide_shuffle(X, n=3, random_state=0)},
    "fewer rows": {"X": X[:2]},
    "same output": {"model": Net(0, "by_position")},
    "half": {"model": Net(0, "half")},
}
with torch.no_grad():
    OTHER["same output"]["model"].dense.weight[1] += 1


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """One study, of which the tests take parts as if they were runs of their own: starting processes takes seconds."""
    models = {name: Case(**{"model": Net(0, "by_position"), "X": X} | more) for name, more in OTHER.items()}
    settings = {"n_references": 2, "threads": 1, "audit": False, "implementations": [EXACT, PEER, ABSENT]}
    return Study(models, **settings).run(tmp_path_factory.mktemp("study") / "all", verbose=False)


@pytest.fixture
def part(everything, tmp_path):
    """Return a function that makes a study of one case, under the name "net"."""

    def make(case="net", implementations=("exact", "as_model_says"), dtypes=("float64", "float32"), **changes):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(everything.folder, folder)
        settings = json.loads((folder / "study.json").read_text())
        settings["cases"] = {"net": settings["cases"][case]}
        settings["dtypes"] = list(dtypes)
        settings["cells"] = [
            one | {"model": "net"}
            for one in settings["cells"]
            if (one["model"], one["dtype"] in dtypes, one["implementation"] in implementations) == (case, True, True)
        ]
        for path in folder.glob("cells/*.json"):
            record = json.loads(path.read_text())
            path.write_text(json.dumps(record | {"model": "net"}))
        (folder / "study.json").write_text(json.dumps(settings))
        return open_study(folder)

    return make


@pytest.fixture
def before(part):
    return part()


@pytest.fixture
def after(part):
    """Return a function that makes the study again, with what a later run might find differently."""

    def make(change=None, settings=None, arrays=None, **more):
        folder = part(**more).folder
        for path in folder.glob("cells/*.json") if change else ():
            path.write_text(json.dumps(changed(json.loads(path.read_text()), change)))
        if settings:
            path = folder / "study.json"
            path.write_text(json.dumps(changed(json.loads(path.read_text()), settings)))
        for path in folder.glob("cells/*.npy") if arrays else ():
            np.save(path, arrays(np.load(path)))
        return open_study(folder)

    return make


def changed(record, change):
    change(record)
    return record


def update(**more):
    return lambda record: record.update(more) if record.get("implementation") == "as_model_says" else None


def test_a_study_is_equal_to_itself(before):
    found = compare(before.folder, before)
    assert not found.failed
    assert len(found.moved) == 0
    assert (found.cells["difference"] == 0).all()
    assert str(found) == "passed: 4 cells compared, none moved; no contributions differ by more than 0.1 %."


@pytest.mark.reliability(
    "Comparing studies",
    "other weights, code, sequences, references, seed or dtype",
    "cells that moved, with the cause; they fail where contributions differ",
)
@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("other weights", ["other weights"]),
        ("other output", ["target 0 -> 1"]),
        ("reversed", ["other sequences", "other references"]),
        ("more references", ["other references"]),
    ],
)
def test_what_changed_is_named(before, part, case, named):
    found = compare(before, part(case))
    assert list(found.cells["changes"]) == [named] * 4
    assert found.cells["moved"].all()
    assert found.cells["difference"].min() > 0.01
    assert found.cells["failed"].all()
    assert all("; ".join(named) in line for line in str(found).splitlines()[:4])


def test_other_weights_that_compute_the_same_move_without_failing(before, part):
    found = compare(before, part("same output"))
    assert len(found.moved) == 4
    assert not found.failed
    assert str(found).splitlines()[0].startswith("moved  net, exact ")
    assert str(found).splitlines()[0].endswith("float64: other weights; the same contributions")


def test_another_seed_and_version_are_named(after):
    def captum(version, torch_version, seed):
        def change(settings):
            settings["implementations"]["exact"] |= {"package": "captum", "version": version}
            settings["versions"]["torch"] = torch_version
            settings["random_state"] = seed

        return after(settings=change)

    found = compare(captum("0.8.0", "2.8.0+cpu", 0), captum("0.9.0", "2.9.0+cu128", 4))
    assert not found.failed
    changes = found.cells.groupby("implementation")["changes"].first()
    assert changes["as_model_says"] == ["torch 2.8.0 -> 2.9.0", "seed 0 -> 4"]
    assert changes["exact"] == ["captum 0.8.0 -> 0.9.0", "torch 2.8.0 -> 2.9.0", "seed 0 -> 4"]


def test_another_dtype_is_named_and_met(part):
    found = compare(part(dtypes=["float64"]), part(dtypes=["float32"]))
    assert not found.failed
    assert list(found.moved["changes"]) == [["dtype float64 -> float32"]] * 2
    assert 0 < found.cells["difference"].max() < 1e-5


@pytest.mark.reliability("Comparing studies", "sequences of another length, or more of them", "a failure that says so")
def test_contributions_of_other_shapes_are_not_compared(before, part):
    found = compare(before, part("fewer rows"))
    assert found.failed
    assert found.cells["difference"].isna().all()
    assert "contributions of (3, 2, 20) and (2, 2, 20) cannot be compared" in str(found)


def test_contributions_with_and_without_references_are_compared_by_their_mean(before, after):
    found = compare(before, after(arrays=lambda one: one.mean(axis=1) if one.ndim == 3 else one))
    assert not found.failed
    assert found.cells["difference"].max() < 1e-6


def test_a_difference_names_its_size_and_place(before, after):
    def moved(array):
        array[1, ..., 7] += 10 * abs(array).max()
        return array

    found = compare(before, after(arrays=moved))
    assert found.failed
    assert found.cells["failed"].all()
    assert ", most in row 1 at position 7 (" in str(found)
    assert "FAILED: 4 cells compared, 4 moved; 4 failed" in str(found)


@pytest.mark.reliability(
    "Comparing studies", "the same study on another machine: rounding, times, memory, another build", "no alarm"
)
def test_another_machine_raises_no_alarm(before, after):
    rng = np.random.default_rng(0)

    def rounded(array):
        noise = 2e-5 if array.dtype == np.float32 else 1e-10
        return (array * (1 + noise * rng.standard_normal(array.shape))).astype(array.dtype)

    def build(settings):
        settings["versions"]["torch"] = settings["versions"]["torch"].partition("+")[0] + "+cu999"
        settings["machine"] = {"cpu": "another"}

    slow = {"seconds_first": 99.0, "seconds": 99.0, "peak_mib": 99.0}
    found = compare(before, after(lambda record: record.update(slow), build, rounded))
    assert len(found.moved) == 0
    assert not found.failed


@pytest.mark.reliability(
    "Comparing studies", "a model whose float32 rounding is large, on another machine", "no alarm in float32"
)
def test_what_rounding_did_before_is_allowed(before, after):
    rng = np.random.default_rng(0)

    def rounded(array):
        if array.dtype == np.float64:
            return array
        return (array + 0.1 * abs(array).max() * rng.standard_normal(array.shape)).astype(np.float32)

    noisy = after(arrays=rounded)
    assert not compare(noisy, after(arrays=rounded)).failed
    found = compare(before, noisy)
    assert list(found.cells[found.cells["failed"]]["dtype"]) == ["float32"] * 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "error", "verdict": "raised", "error": "KeyError: 'relu'"}, "is now error (KeyError: 'relu')"),
        ({"status": "time limit", "verdict": ""}, "it was ok and is now time limit"),
        ({"verdict": "warned", "warnings": ["RuntimeWarning: no sum"]}, "silent and is now warned (RuntimeWarning: no"),
    ],
)
def test_a_worse_outcome_fails(before, after, change, said):
    study = after(update(**change))
    found = compare(before, study)
    assert list(found.cells.set_index("implementation")["failed"].to_dict().items()) == [
        ("exact", False),
        ("as_model_says", True),
    ]
    assert said in str(found)
    # The other way round it is better, and not what it was.
    better = compare(study, before)
    assert not better.failed
    assert len(better.moved) == 2


@pytest.mark.reliability("Comparing studies", "an implementation that is wrong and stops saying so", "a failure")
def test_silence_about_a_miss_fails(after):
    def promises(settings):
        settings["implementations"]["as_model_says"]["complete"] = True

    said = after(update(verdict="warned"), promises, case="half")
    found = compare(said, after(settings=promises, case="half"))
    assert list(found.cells["reasons"])[1] == ["it misses 50 % of the output difference and no longer says so"]
    assert found.failed

    def does_not(settings):
        settings["implementations"]["as_model_says"]["complete"] = False

    said = after(update(verdict="warned"), does_not, case="half")
    assert not compare(said, after(settings=does_not, case="half")).failed


def test_a_larger_miss_fails(after, before, everything):
    """The contributions are the same, but the output is another one."""

    def promises(settings):
        settings["implementations"]["as_model_says"]["complete"] = True

    study = after(settings=promises)
    for path in study.folder.glob("outputs/*.npz"):
        with np.load(path) as stored:
            arrays = dict(stored)
        np.savez(path, **arrays | {"outputs": arrays["outputs"] * 2})
    found = compare(before, study)
    assert found.failed
    assert "of the output difference and missed " in str(found)


def test_what_is_gone_fails_and_what_is_new_is_shown(before, part):
    fewer = part(implementations=["exact"], dtypes=["float64"])
    gone = compare(before, fewer)
    assert gone.failed
    assert str(gone).count("it is gone") == 3
    assert "FAILED: 1 cell compared, none moved, 3 gone; 3 failed" in str(gone)
    new = compare(fewer, before)
    assert not new.failed
    assert [line[:7] for line in str(new).splitlines()] == ["new    "] * 3 + ["passed:"]
    assert "1 cell compared, none moved, 3 new" in str(new)


@pytest.mark.reliability(
    "Comparing studies", "a study that was interrupted", "cells that are not computed yet, which fail"
)
def test_a_study_that_is_not_finished_fails(before, part):
    study = part()
    for cell in study.settings["cells"][1:]:
        (study.folder / "cells" / f"{cell['key']}.json").unlink()
    found = compare(before, open_study(study.folder))
    assert found.failed
    assert "it was not computed yet" in str(found)


def test_what_was_absent_may_go(part):
    assert not compare(part(implementations=["exact", "absent"]), part(implementations=["exact"])).failed


def test_nothing_in_common_fails(part):
    found = compare(part(implementations=["absent"]), part(implementations=["exact"]))
    assert found.failed
    assert str(found).endswith("the two studies have no cell in common, so nothing was compared.")


def test_fail_above_decides(before, after):
    study = after(arrays=lambda one: one * 1.01)
    assert not compare(before, study.folder, 0.1).failed
    found = compare(before.folder, study, 1e-3)
    assert found.failed
    assert str(found).startswith("FAILED net, exact ")
    assert "float64: contributions differ by 1 % of the largest, most in row " in str(found)


@pytest.mark.parametrize("fail_above", [-1, float("nan"), "a", None, True])
def test_fail_above_is_a_number(before, fail_above):
    with pytest.raises(InputError, match="fail_above is"):
        compare(before, before, fail_above)


def test_what_is_no_study_is_said(before, tmp_path):
    with pytest.raises(InputError, match="new is a Tensor: expected the folder of a study"):
        compare(before, torch.ones(2))
    with pytest.raises(ResultsError, match=r"study\.json"):
        compare(tmp_path, before)
