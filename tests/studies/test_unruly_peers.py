"""What an implementation leaves behind in its process harms no other cell."""

import contextlib
import os
import time

import psutil
import pytest

import seqlight as sl
from seqlight.studies import Study
from seqlight.studies.workers import worker
from study_implementations import Net
from unruly_implementations import UNRULY

X = sl.random_one_hot((3, 4, 20), random_state=0)
# In this order: what comes after a harm shows whether it was one.
BEHAVIOURS = {
    "forks_and_exits": "crashed",
    "forks": "ok",
    "exact1": "ok",
    "changes_folder": "ok",
    "exact2": "ok",
    "changes_settings": "ok",
    "checks_settings": "ok",
    "cannot_say": "error",
    "raises_what_is_no_exception": "error",
    "exits_later": "ok",
    "slow": "ok",
    "leaks1": "ok",
    "leaks2": "ok",
    "leaks3": "ok",
}


@pytest.fixture(scope="module")
def started():
    """The workers that the study starts."""
    return []


@pytest.fixture(scope="module")
def cells(tmp_path_factory, started):
    """A study into a folder of a relative path, its cells by model, and how long it took."""
    models = {name: Net(seed, name).eval() for seed, name in enumerate(BEHAVIOURS)}
    settings = {"dtypes": ["float64"], "n_references": 2, "threads": 1, "audit": False}
    with contextlib.chdir(tmp_path_factory.mktemp("study")), pytest.MonkeyPatch.context() as patch:
        start_process = worker.subprocess.Popen
        patch.setattr(
            worker.subprocess,
            "Popen",
            lambda *args, **more: started.append(start_process(*args, **more)) or started[-1],
        )
        start = time.monotonic()
        found = Study(models, X, implementations=[UNRULY], time_limit=20, memory_limit=1500, **settings).run(
            "out", verbose=False
        )
        yield found.cells.set_index("model").assign(took=time.monotonic() - start)


@pytest.mark.reliability(
    "studies",
    "implementations that fork, change the folder or PyTorch's settings, crash or fill the memory later",
    "each other cell is what it would be alone",
)
def test_only_the_cells_that_fail_by_themselves_fail(cells):
    assert cells["status"].to_dict() == BEHAVIOURS
    good = cells[cells["status"] == "ok"]
    assert good["miss"].max() < 1e-12
    assert len(set(good["miss"])) > 1


def test_a_crash_is_seen_at_once_though_a_child_lives(cells):
    assert cells.loc["forks_and_exits", "error"] == "its process ended with exit status 3"
    assert cells["took"].iloc[0] < 120


@pytest.mark.usefixtures("cells")
def test_no_process_is_left(started):
    sessions = {one.pid for one in started}  # each worker leads one, and no implementation leaves it
    assert len(sessions) > 3
    left = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            left += [pid] * (os.getsid(pid) in sessions)
    assert left == []
