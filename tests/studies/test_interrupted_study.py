"""What a run finds in its folder, and what it computes. The workers are in this process here."""

import itertools
import json
import pickle
import random

import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.errors import InputError
from seqlight.results.identity.arrays import digest_of_array
from seqlight.studies import Case, Study
from seqlight.studies.cell import COLUMNS
from seqlight.studies.folder import StudyFolder
from seqlight.studies.workers.jobs import JOBS, OF_IMPLEMENTATION
from seqlight.studies.workers.worker import Answer, Worker
from study_implementations import ABSENT, EXACT, HALF, Net

X = sl.random_one_hot((2, 4, 20), random_state=0)
UNTIMED = [name for name in COLUMNS if name not in ("seconds_first", "seconds", "peak_mib")]
WRITES = ("write", "write_case", "keep_array")


class Killed(BaseException):
    """What stands for the end of the process: nothing that comes after it is done."""


def do_here(worker, job, time_limit, memory_limit):
    more = ()
    if job["kind"] in OF_IMPLEMENTATION:
        more = (pickle.loads(worker._implementation.read_bytes()),)
    try:
        return Answer(JOBS[job["kind"]](job, *more))
    except Exception as error:
        return Answer({"failed": f"{type(error).__name__}: {error}"})


@pytest.fixture
def _workers_are_here(monkeypatch):
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    monkeypatch.setattr(Worker, "start", lambda worker: None)
    monkeypatch.setattr(Worker, "do", do_here)
    yield
    torch.set_rng_state(torch_state)
    np.random.set_state(numpy_state)
    random.setstate(python_state)


def run(folder, models=("net",), implementations=(EXACT, HALF, ABSENT), **more):
    made = {name: Net() for name in models}
    study = Study(made, X, implementations=implementations, dtypes=["float64"], n_references=2)
    study.threads = torch.get_num_threads()
    return study.run(folder, verbose=False, **more)


def end_at(monkeypatch, count):
    """Let the study end before its write number `count`, as SIGKILL would: nothing is tidied up."""
    writes = itertools.count()

    def ending(name):
        method = getattr(StudyFolder, name)

        def write(*arguments):
            if next(writes) == count:
                raise Killed
            return method(*arguments)

        return write

    for name in WRITES:
        monkeypatch.setattr(StudyFolder, name, ending(name))
    monkeypatch.setattr(StudyFolder, "close", lambda files: files._lock.release())


@pytest.mark.reliability(
    "studies", "the end of the process between any two writes", "the next run ends with equal cells"
)
@pytest.mark.usefixtures("_workers_are_here")
def test_a_study_that_ends_between_any_two_writes_goes_on(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole")
    files = {path.relative_to(whole.folder) for path in whole.folder.rglob("*") if path.is_file()}
    for count in itertools.count():
        folder = tmp_path / str(count)
        with monkeypatch.context() as patch:
            end_at(patch, count)
            try:
                run(folder)
            except Killed:
                ended = True
            else:
                ended = False
        found = run(folder)
        assert found.cells[UNTIMED].equals(whole.cells[UNTIMED]), count
        assert {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} == files, count
        for model in found.models:
            assert str(found.audit(model)) == str(whole.audit(model))
            assert found.suspects(model, "half") == whole.suspects(model, "half")
        if not ended:
            break
    assert count > 8


@pytest.mark.usefixtures("_workers_are_here")
def test_an_equal_model_under_another_name_is_not_computed_again(tmp_path, monkeypatch):
    found = run(tmp_path, ("a", "b"), [EXACT])
    assert list(found.cells["model"]) == ["a", "b"]
    assert len(list(tmp_path.glob("cells/*.npy"))) == 1
    monkeypatch.setattr(Worker, "do", None)
    assert list(run(tmp_path, ("c",), [EXACT]).cells["model"]) == ["c"]


@pytest.mark.usefixtures("_workers_are_here")
@pytest.mark.parametrize(
    ("failed", "is_lasting"), [("KeyError: 'relu'", True), ("time limit: it took longer than 60 s", False)]
)
def test_outputs_and_audits_that_failed_are_tried_again(tmp_path, failed, is_lasting):
    run(tmp_path, implementations=[EXACT])
    for part in ("outputs", "audits"):
        (record,) = tmp_path.glob(f"{part}/*.json")
        record.write_text(json.dumps({"failed": failed}))
    if is_lasting:
        assert np.isnan(run(tmp_path, implementations=[EXACT]).cells["miss"][0])
    found = run(tmp_path, implementations=[EXACT], retry=is_lasting)
    assert found.cells["miss"][0] < 1e-12
    assert found.audit("net").complete


@pytest.mark.usefixtures("_workers_are_here")
def test_references_that_chance_draws_are_drawn_once(tmp_path):
    drawn = []

    def references(X, n):
        drawn.append(torch.full((len(X), n, *X.shape[1:]), len(drawn), dtype=torch.int8))
        return drawn[-1]

    found = Study({"net": Net()}, X, references, implementations=[EXACT], dtypes=["float64"]).run(
        tmp_path, verbose=False
    )
    assert len(drawn) == len(X)
    assert torch.equal(found.case("net").references, torch.cat(drawn))
    assert found.settings["cases"]["net"]["references"] == digest_of_array(torch.cat(drawn))
    assert found.cells["miss"][0] < 1e-12


@pytest.mark.reliability("studies", "a function that makes another model each time", "an error that names the case")
@pytest.mark.usefixtures("_workers_are_here")
def test_a_model_that_is_another_each_time_is_refused(tmp_path):
    seeds = itertools.count()
    study = Study({"net": Case(lambda: Net(next(seeds)), X)}, implementations=[EXACT], dtypes=["float64"])
    with pytest.raises(InputError, match="'net' makes another model each time"):
        study.run(tmp_path, verbose=False)
