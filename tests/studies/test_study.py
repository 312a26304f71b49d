"""Studies: every implementation on every model, whatever the implementations do to their process."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import seqlight as sl
import study_implementations as others
from seqlight.errors import InputError, ResultsError
from seqlight.studies import Case, Study, open_study
from seqlight.studies.cell import COLUMNS
from seqlight.studies.folder import StudyFolder
from seqlight.studies.provenance import command_line
from study_implementations import ABSENT, EXACT, PEER, Net, by_position, half, key_of_case, make
from study_stand_in import StudyStandIn

X = sl.random_one_hot((3, 4, 20), random_state=0)


def study(*implementations, models=None, **more):
    chosen = implementations or (EXACT,)
    models = {"net": Net().eval()} if models is None else models
    return Study(models, X, implementations=chosen, **{"n_references": 2, "threads": 1} | more)


BEHAVIOURS = {
    "half": "ok",
    "warned": "ok",
    "by_position": "ok",
    "drawn": "ok",
    "noisy": "ok",
    "not_finite": "ok",
    "refuses": "refused",
    "fails": "error",
    "quits": "error",
    "wrong_shape": "error",
    "exits": "crashed",
    "crashes": "crashed",
    "hangs": "time limit",
    "fills_memory": "memory limit",
    "exact": "ok",  # after all that
}


def study_of_behaviours():
    models = {name: Net(behaviour=name).eval() for name in BEHAVIOURS}
    limits = {"time_limit": 5, "memory_limit": 1500}
    return study(EXACT, PEER, ABSENT, models=models, dtypes=["float64"], audit=False, **limits)


@pytest.fixture(scope="module")
def bad_peers(tmp_path_factory):
    """A study in which an implementation misbehaves in every way."""
    return study_of_behaviours().run(tmp_path_factory.mktemp("study") / "out", verbose=False)


@pytest.fixture(scope="module")
def cells(bad_peers):
    found = bad_peers.cells
    return found[found["implementation"] == "as_model_says"].set_index("model")


def test_a_notebook_shows_what_became_of_each_cell(bad_peers, monkeypatch):
    # From records alone: arrays and numbers would take long.
    monkeypatch.setattr("seqlight.studies.folder.StudyFolder.arrays", None)
    found = open_study(bad_peers.folder)
    records = found._records()
    statuses = [one["status"] for one in records.values()]
    assert repr(found).startswith(
        f"StudyResults({str(found.folder)!r}: {len(found.models)} models, {len(records)} cells: "
    )
    for status in set(statuses):
        assert f"{statuses.count(status)} {status}" in repr(found)
    shown = found._repr_html_()
    assert f"{len(records)} of {len(records)} cells" in shown
    assert shown.count("<tr>") == 1 + min(30, len(records))


def test_every_peer_is_a_row(bad_peers, cells):
    assert list(bad_peers.cells.columns) == COLUMNS
    assert cells["status"].to_dict() == BEHAVIOURS
    others = bad_peers.cells.groupby("implementation")["status"].unique().map(list)
    assert others["exact"] == ["ok"]
    assert others["absent"] == ["absent"]


def test_miss_is_computed_from_plain_calls(bad_peers, cells):
    net = Net().eval().double().requires_grad_(False)
    stored = bad_peers.case("half")
    outputs = net(stored.X.double())[:, 0]
    references = torch.stack([net(stored.references[:, k].double())[:, 0] for k in range(2)], dim=1)
    for one, stored_one in zip((outputs, references), bad_peers.outputs("half"), strict=True):
        torch.testing.assert_close(one, stored_one)
    assert cells.loc["exact", "miss"] < 1e-12
    assert cells.loc["half", "miss"] == pytest.approx(0.5)
    largest = (outputs[:, None] - references).abs()
    assert cells.loc["half", "miss_max"] == pytest.approx(float(largest.max() / largest.mean() / 2))
    assert np.isnan(cells.loc["not_finite", "miss"])


def test_likeness_is_with_the_first(cells):
    assert cells.loc["half", ["r", "rank_r", "sign_flips", "top_overlap"]].tolist() == pytest.approx([1, 1, 0, 1])
    assert cells.loc["by_position", "r"] == pytest.approx(1)
    assert cells.loc["by_position", "miss"] < 1e-12


def test_verdicts(cells):
    found = cells["verdict"]
    assert found["half"] == "silent"
    assert found["warned"] == "warned"
    assert cells.loc["warned", "warnings"] == ["RuntimeWarning: this does not add up"]
    assert found["noisy"] == "said"
    assert (found["refuses"], found["fails"], found["exits"]) == ("raised", "raised", "")


def test_errors_say_what_happened(cells):
    errors = cells["error"]
    assert errors["exits"] == "its process ended with exit status 3"
    assert "SIGSEGV" in errors["crashes"]
    assert errors["hangs"] == "it took longer than 5 s"
    assert "with a limit of 1500" in errors["fills_memory"]
    assert "expected (rows, references, positions)" in errors["wrong_shape"]


def test_what_is_left_changed(cells):
    assert set(cells.loc["noisy", "changed_state"]) == {"hooks", "train/eval modes", "random state"}
    assert cells.loc["drawn", "changed_state"] == ["random state"]
    assert cells.loc["exact", "changed_state"] == []


def test_time_and_memory(cells):
    assert 0 < cells.loc["exact", "seconds"] <= cells.loc["exact", "seconds_first"] + 1
    assert np.isnan(cells.loc["hangs", "seconds"])
    assert cells.loc["exact", "peak_mib"] >= 0


def test_sentences_of_a_study(bad_peers):
    said = {model: bad_peers.explain(model) for model in BEHAVIOURS}
    assert all(text.startswith(("You can believe Exact", "Exact is complete")) for text in said.values())
    assert said["exact"].startswith(
        "You can believe Exact and As_model_says on this model: they are complete and agree"
    )
    for model, part in {
        "half": "misses 50 % of the output difference and does not say so (r = 1 with Exact)",
        "warned": "and warns: “RuntimeWarning: this does not add up”",
        "noisy": "prints to the terminal: “hello”.",
        "drawn": "leaves something changed behind it: random state.",
        "not_finite": "returns NaN or infinity among its contributions, and does not say so.",
        "refuses": "refuses this model, which is better than wrong numbers: “NotImplementedError: a module is used",
        "fails": "ends with an error: “KeyError: 'relu'”.",
        "exits": "crashed: “its process ended with exit status 3”.",
        "hangs": "within the limit of time (raise time_limit to wait longer): “it took longer than 5 s”.",
        "fills_memory": "took more memory than the limit",
        "by_position": "Absent took no part, for no-such-package is not installed.",
    }.items():
        assert part in said[model]


def test_a_page_of_a_study(bad_peers, tmp_path, monkeypatch):
    monkeypatch.setattr("seqlight.report.blocks.embed", lambda *_: "data:image/png;base64,")
    page = bad_peers.page(tmp_path / "page.html").read_text()
    assert "You can believe Exact and As_model_says on this model" in page
    assert "this does not add up" in page
    assert bad_peers.settings["versions"]["torch"] in page


def test_the_stand_in_for_a_study_is_like_one(bad_peers):
    stand_in = StudyStandIn({("net", "seqlight"): {}})
    assert list(stand_in.cells) == list(bad_peers.cells)
    assert set(stand_in.settings) <= set(bad_peers.settings)
    assert set(stand_in.settings["cases"]["net"]) <= set(bad_peers.settings["cases"]["half"])
    assert set(stand_in.settings["implementations"]["seqlight"]) <= set(bad_peers.settings["implementations"]["exact"])
    assert all(hasattr(bad_peers, name) for name in dir(stand_in) if not name.startswith("_"))


def test_nothing_is_left_beside_the_results(bad_peers):
    assert {one.name for one in bad_peers.folder.iterdir()} >= {"cells", "study.json"}
    assert not (bad_peers.folder / ".work").exists()
    assert not list(bad_peers.folder.rglob("*.partial"))


def test_a_cell_without_contributions_says_why(bad_peers):
    with pytest.raises(InputError, match="'crashed'"):
        bad_peers.contributions("exits", "as_model_says")
    with pytest.raises(InputError, match="there is no cell of 'other'"):
        bad_peers.contributions("other", "exact")


def test_a_second_run_computes_nothing(bad_peers, monkeypatch):
    before = {one: one.stat().st_mtime_ns for one in bad_peers.folder.rglob("*.json")}
    before.pop(bad_peers.folder / "study.json")
    monkeypatch.setattr("subprocess.Popen", None)
    found = study_of_behaviours().run(bad_peers.folder, verbose=False)
    assert found.complete
    assert {one: one.stat().st_mtime_ns for one in before} == before


def test_other_weights_seeds_and_targets_are_other_cells(tmp_path):
    keys = set()
    for models, more in [
        ({"net": Net()}, {}),
        ({"net": Net(seed=1)}, {}),
        ({"net": Net()}, {"target": 1}),
        ({"net": Net()}, {"random_state": 1}),
        ({"net": Net()}, {"references": X.float().mean(dim=0)[None, None].expand(3, 2, -1, -1)}),
    ]:
        one = study(models=models, dtypes=["float64"], **more)
        keys.add(key_of_case(one, "net"))
    assert len(keys) == 5


SCRIPT = """
import sys
sys.path.insert(0, {fixtures!r})
from study_implementations import EXACT, Net
import seqlight as sl
from seqlight.studies import Study
X = sl.random_one_hot((3, 4, 20), random_state=0)
models = {{str(i): Net(i).eval() for i in range(8)}}
Study(models, X, implementations=[EXACT], dtypes=["float64"], n_references=2, threads=1, audit=False).run({out!r})
"""


@pytest.mark.reliability("studies", "SIGKILL in the middle of a study", "the next run ends with equal cells")
def test_a_killed_study_goes_on(tmp_path):
    fixtures = str(Path(others.__file__).parent)
    script = SCRIPT.format(fixtures=fixtures, out=str(tmp_path / "out"))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while len(list((tmp_path / "out" / "cells").glob("*.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {one.name: one.stat().st_mtime_ns for one in (tmp_path / "out" / "cells").glob("*.json")}
    assert 3 <= len(kept) < 8
    assert not open_study(tmp_path / "out").complete
    models = {str(i): Net(i).eval() for i in range(8)}
    found = study(models=models, dtypes=["float64"], audit=False).run(tmp_path / "out", verbose=False)
    whole = study(models=models, dtypes=["float64"], audit=False).run(tmp_path / "whole", verbose=False)
    assert {name: (tmp_path / "out" / "cells" / name).stat().st_mtime_ns for name in kept} == kept
    untimed = [name for name in COLUMNS if name not in ("seconds_first", "seconds", "peak_mib")]
    assert found.cells[untimed].equals(whole.cells[untimed])


@pytest.mark.reliability("studies", "two studies at once into one folder", "the second is refused, and names the first")
def test_one_study_at_a_time(tmp_path):
    ready = study(dtypes=["float64"])
    files = StudyFolder(tmp_path)
    files.open_to_write()
    with pytest.raises(ResultsError, match="in use by"):
        ready.run(tmp_path)
    files.close()


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(ResultsError, match=r"no study\.json"):
        open_study(tmp_path)
    (tmp_path / "study.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ResultsError, match="format 99"):
        open_study(tmp_path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"models": {}}, "models is a dict"),
        ({"models": {"net": 3}}, "'net' is an int"),
        ({"models": {"net": Case(Net(), X[0])}}, r"'net' has shape \(4, 20\)"),
        ({"models": {"net": Case(Net(), None)}}, "'net' is None"),
        ({"args": (torch.ones(2),)}, "tensors of 3 rows"),
        ({"dtypes": ["int8"]}, "dtypes is"),
        ({"n_references": 0}, "n_references"),
        ({"time_limit": 0}, "time_limit is 0"),
        ({"memory_limit": -1}, "memory_limit is -1"),
    ],
)
def test_arguments_are_checked(more, message):
    with pytest.raises(InputError, match=message):
        study(**more)


def test_the_line_that_runs_it_again(monkeypatch):
    assert command_line(["/usr/bin/seqlight", "study", "--out", "a b"]) == "seqlight study --out 'a b'"
    assert command_line(["/usr/lib/site-packages/ipykernel_launcher.py", "-f", "x.json"]) == ""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "my study.py", raising=False)
    assert command_line(["my study.py", "-v"]) == "python 'my study.py' -v"


def test_an_unknown_implementation_is_named():
    with pytest.raises(InputError, match="'captum-magic': expected one of"):
        study("captum-magic")


def test_a_model_that_cannot_be_sent_is_named(tmp_path):
    net = Net()
    net.lock = threading.Lock()
    with pytest.raises(InputError, match="cannot be sent to another process"):
        study(models={"net": net}).run(tmp_path, verbose=False)
    assert not (tmp_path / ".work").exists()


def test_what_is_not_exact_is_asked_in_one_dtype(tmp_path):
    approximate = make(half, complete=True, approximate=True)
    asked = study(EXACT, approximate, make(by_position), audit=False)
    described = {one.name: {"complete": one.complete, "approximate": one.approximate} for one in asked.implementations}
    cells = [(one.implementation, one.dtype) for one in asked._plan_cells("net", "key", described)]
    assert cells == [("exact", "float64"), ("exact", "float32"), ("half", "float32"), ("by_position", "float32")]
