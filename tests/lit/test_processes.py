"""Runs in several processes, started as users start them, with job.py as the script.

Each is in a session of its own, and is killed with all its child processes if it takes too long. Unless the command is
itself under test, its process is forked from one that has loaded Lightning, since loading takes seconds.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import forkserver
import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.results.file_lock import is_held
from seqlight.results.run_folder import LOCKS
from seqlight.results.shards import check_shard

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

JOB = str(Path(__file__).with_name("job.py"))
SOON = 30  # seconds after which all processes of a run must have ended once one has


def environment(**more):
    left_out = (
        "PL_GLOBAL_SEED",
        "PYTEST_CURRENT_TEST",
        "MASTER_ADDR",
        "MASTER_PORT",
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
    )
    kept = {name: one for name, one in os.environ.items() if name not in left_out and not name.startswith("SLURM_")}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"} | more


@contextlib.contextmanager
def started(*commands, **more):
    """Start commands, each in a session of its own; kill what is left of them at the end."""
    children = []
    try:
        for n, command in enumerate(commands):
            env = environment(**{key: one[n] if isinstance(one, list) else one for key, one in more.items()})
            if command[0] == sys.executable:
                children.append(
                    subprocess.Popen(
                        command,
                        env=env,
                        start_new_session=True,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                    )
                )
            else:
                children.append(forkserver.Process(command, "lightning", env=env))
        yield children
    finally:
        for child in children:
            # torchrun starts its processes in sessions of their own.
            for pid in processes_of(child.pid) if child.poll() is None else ():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.communicate()


def ended(children, timeout=150):
    """Wait for all processes; return their exit statuses and outputs."""
    deadline = time.monotonic() + timeout
    found = []
    for child in children:
        output = child.communicate(timeout=max(0.1, deadline - time.monotonic()))
        found.append((child.returncode, "".join(one for one in output if one)))
    return found


def run(*jobs, **more):
    with started(script(*jobs), **more) as children:
        ((status, output),) = ended(children)
    assert status == 0, output[-4000:]
    return output


def run_here(job):
    """Run a job in this process."""
    if "job" not in sys.modules:
        spec = importlib.util.spec_from_file_location("job", JOB)
        sys.modules["job"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["job"])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sys.modules["job"].main(**job)
    finally:
        torch.set_num_threads(threads)


def script(*jobs):
    return [JOB, json.dumps(list(jobs))]


def torchrun(job, processes=2, nodes=1, port=None, forks=True):
    """Return the command of torchrun, which starts new processes or forks."""
    where = ["--standalone"] if nodes == 1 else [
        f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-id=test"]  # fmt: skip
    how = ["--start-method=fork", "--run-path"] if forks else []
    return ["-m", "torch.distributed.run", *where, *how, f"--nproc-per-node={processes}", JOB, json.dumps(job)]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def same(out, expected, exact=True):
    found, expected = sl.open_results(out), sl.open_results(expected)
    found.verify()
    assert found.names == expected.names
    assert len(found) == len(expected)
    assert found.row_names == expected.row_names
    for name in expected:
        one, other = found[name].numpy(), expected[name].numpy()
        assert one.dtype == other.dtype
        if exact:
            np.testing.assert_array_equal(one, other)
        else:
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * np.abs(np.nan_to_num(other)).max())


FORKED = {"strategy": "ddp_fork"}
DEFAULT = [  # kind, rows, batch size, workers, dtype
    *[("predict", rows, size, 0, "float64") for rows, size in [(0, 3), (1, 1), (5, 32), (7, 1), (7, 3)]],
    ("predict", 1000, 32, 1, "float32"),
    ("attribute", 7, 3, 1, "float64"),
    ("attribute", 40, 8, 0, "float32"),
    ("auto", 5, 1, 0, "float64"),
]
ALL = [
    *itertools.product(["predict"], [0, 1, 5, 7, 1000], [1, 3, 32], [0, 1], ["float64", "float32"]),
    *itertools.product(["attribute", "auto"], [0, 1, 5, 7], [1, 3, 32], [0, 1], ["float64", "float32"]),
    *itertools.product(["attribute", "auto"], [1000], [32], [1], ["float64", "float32"]),
]


def grid(folder, cases):
    """Return jobs with each case in 3, 2 and 1 processes, forks first: a parent that took gradients cannot fork."""
    keys = ("kind", "rows", "batch_size", "workers", "dtype")
    return [
        {
            "out": f"{folder}/{n}-{world}",
            "devices": world,
            **(FORKED if world > 1 else {}),
            **dict(zip(keys, case, strict=True)),
        }
        for world in (3, 2, 1)
        for n, case in enumerate(cases)
    ]


def check_grid(folder, cases):
    for n, (kind, rows, _, _, dtype) in enumerate(cases):
        for world in (2, 3):
            same(folder / f"{n}-{world}", folder / f"{n}-1", exact=dtype == "float64")
        found = sl.open_results(folder / f"{n}-1")
        assert len(found) == rows
        if rows and kind != "predict":
            assert {"attributions", "hypothetical", "references", "sequences"} <= set(found)
    # With every batch size, too, up to rounding: matrix products of other shapes round differently.
    for (n, one), (m, other) in itertools.combinations(enumerate(cases), 2):
        if one[:2] == other[:2] and one[4] == other[4] == "float64" and one[1]:
            a, b = (sl.open_results(folder / f"{k}-1") for k in (n, m))
            for name in a:
                np.testing.assert_allclose(a[name].numpy(), b[name].numpy(), rtol=0, atol=1e-12)


def test_any_number_of_processes_gives_the_same(tmp_path):
    run(*grid(tmp_path, DEFAULT))
    check_grid(tmp_path, DEFAULT)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_any_number_of_processes_gives_the_same_for_all(tmp_path):
    for n in range(0, len(ALL), 20):
        (tmp_path / str(n)).mkdir()
        run(*grid(tmp_path / str(n), ALL[n : n + 20]))
        check_grid(tmp_path / str(n), ALL[n : n + 20])


SHARED = {"rows": 70, "batch_size": 8, "kind": "attribute", "dataset": True}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    out = tmp_path_factory.mktemp("one")
    run_here(SHARED | {"out": str(out)})
    return out


def all_end_well(*commands, **more):
    with started(*commands, **more) as children:
        for status, output in ended(children):
            assert status == 0, output[-4000:]


def check_reports(folder, world):
    """Check that every process got the complete results."""
    assert sorted(each.name for each in folder.iterdir()) == [f"rank-{rank}" for rank in range(world)]
    (report,) = {each.read_text() for each in folder.iterdir()}
    assert report.startswith("70 ['attributions', 'deltas'")


def test_torchrun(tmp_path, one):
    job = SHARED | {"out": f"{tmp_path}/two", "devices": 2, "report": f"{tmp_path}/reports"}
    python = forkserver.write_python(tmp_path / "python", "lightning")
    all_end_well(torchrun(job, forks=False), PYTHON_EXEC=str(python))
    same(tmp_path / "two", one)
    check_reports(tmp_path / "reports", 2)
    rows = sl.open_results(tmp_path / "two")["attributions"]["chr1:300-310"]
    np.testing.assert_array_equal(rows, sl.open_results(one)["attributions"][[28, 29, 30]])
    assert sl.open_results(tmp_path / "two").row_names[28:30] == ("line 28", "line 29")


def test_two_nodes_on_loopback(tmp_path, one):
    job = SHARED | {"out": f"{tmp_path}/two", "devices": 1, "num_nodes": 2, "report": f"{tmp_path}/reports"}
    all_end_well(*[torchrun(job, 1, 2, free_port())] * 2)
    same(tmp_path / "two", one)
    check_reports(tmp_path / "reports", 2)


@pytest.mark.slow
def test_slurm(tmp_path, one):
    job = SHARED | {"out": f"{tmp_path}/two", "devices": 1, "num_nodes": 2, "report": f"{tmp_path}/reports"}
    all_end_well(*[[sys.executable, *script(job)]] * 2, **slurm(free_port()))
    same(tmp_path / "two", one)
    check_reports(tmp_path / "reports", 2)


@pytest.mark.slow
def test_a_script_that_lightning_starts_again(tmp_path, one):
    job = SHARED | {"out": f"{tmp_path}/two", "devices": 2, "report": f"{tmp_path}/reports"}
    all_end_well([sys.executable, *script(job)])
    same(tmp_path / "two", one)
    check_reports(tmp_path / "reports", 2)


def slurm(port):
    """Return the environment that srun sets for each of two tasks on two nodes."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "SLURM_NODELIST": "127.0.0.1"}
    tasks = {"SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_LOCALID": "0"}
    names = {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "seqlight"}
    return where | tasks | names | {"SLURM_NODEID": ["0", "1"], "SLURM_PROCID": ["0", "1"]}


SLOWLY = {"kind": "slow predict", "rows": 64, "batch_size": 2, "shard_rows": 4}
LAUNCHERS = ("torchrun", "fork", "script")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run_here(SLOWLY | {"out": str(out)})
    return out


def command_of(launcher, job, world=2):
    job = job | {"devices": world} | (FORKED if launcher == "fork" else {})
    commands = {"torchrun": torchrun(job, world), "fork": script(job), "script": [sys.executable, *script(job)]}
    return commands[launcher]


def alive(out):
    """Return whether a process of the run lives: each holds a lock while it does."""
    return any(is_held(each) for each in Path(out, LOCKS).glob("rank-*"))


def check_left(out, output):
    """Check that shards are missing, and that all files under final names are complete."""
    left = sl.open_results(out, incomplete=True)
    assert left.missing(), output[-3000:]
    for path in out.iterdir():
        assert path.name in (LOCKS, "manifest.json") or path.name.endswith(".partial") or path.suffix == ".npz"
        if path.suffix == ".npz":
            check_shard(path)


def end_badly(command, out, **more):
    """Start a run that fails; return how long its processes lived after that, and the output."""
    note = out.with_name("trouble")
    with started(command, JOB_TROUBLE=str(note), **more) as children:
        ((status, output),) = ended(children)
        while alive(out):
            time.sleep(0.1)
        took = time.time() - float(note.read_text())
    assert status != 0, output[-3000:]
    return took, output


@pytest.mark.parametrize(
    ("how", "launcher", "rank"),
    [
        pytest.param(how, launcher, rank, marks=() if (how, launcher, rank) in quick else pytest.mark.slow)
        for quick in [{("kill", "torchrun", 0), ("raise", "fork", 1), ("term", "torchrun", 1)}]
        for how in ("raise", "kill", "term")
        for launcher in LAUNCHERS
        for rank in (0, 1)
    ],
)
def test_if_one_process_ends_all_do_and_the_run_can_continue(tmp_path, whole, how, launcher, rank):
    out = tmp_path / "out"
    # After the check of two rows, in which an error of the model does not end a run.
    slow = {"seconds": 0.05, "trouble": how, "rank": rank, "batch": 8}
    took, output = end_badly(command_of(launcher, SLOWLY | {"out": str(out), "slow": slow}), out)
    assert took < SOON, output[-3000:]
    check_left(out, output)
    run_here(SLOWLY | {"out": str(out)})
    same(out, whole)
    assert not list(out.glob("*.partial"))


def processes_of(leader):
    """Return a process and all its descendants."""
    parents = {}
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (each / "stat").read_text().rsplit(")", 1)[1].split()
            if fields[0] != "Z":
                parents[int(each.name)] = int(fields[1])
    found = [leader]
    for pid in sorted(parents):
        if parents[pid] in found:
            found.append(pid)
    return found


def kill_one(command, out, rng, longest):
    """Start a run and kill one of its processes at a random moment; return the status and how long the others lived."""
    with started(command) as (child,):
        begun = time.monotonic()
        while not alive(out) and child.poll() is None and time.monotonic() < begun + 100:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, longest))
        victims = processes_of(child.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(victims), signal.SIGKILL)
        killed = time.monotonic()
        ((status, output),) = ended([child])
        while any(Path(f"/proc/{pid}").exists() for pid in victims) or alive(out):
            assert time.monotonic() < killed + SOON, output[-3000:]
            time.sleep(0.1)
        return status, time.monotonic() - killed


@pytest.mark.reliability(
    "results folders",
    "processes of a run killed (SIGKILL) at twenty random moments",
    "the others end too; started again it goes on, and the rows are those of one run",
)
@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_at_any_moment(tmp_path, whole):
    """Ten runs: each is killed, continued, killed again, and then completed."""
    rng = random.Random(0)
    for n in range(10):
        out = tmp_path / str(n)
        for _ in range(2):
            job = SLOWLY | {"out": str(out), "slow": {"seconds": 0.3}}
            # With two processes, a run takes five seconds.
            status, lived = kill_one(command_of(rng.choice(LAUNCHERS), job, rng.choice((2, 3))), out, rng, 4)
            left = len(sl.open_results(out, incomplete=True).missing())
            print(f"run {n}: status {status}, others lived {lived:.1f} s, {left} of 16 shards missing")
            for path in out.glob("shard-*.npz"):
                check_shard(path)
        world = rng.choice((1, 2, 3))
        run(SLOWLY | {"out": str(out), "devices": world} | (FORKED if world > 1 else {}))
        same(out, whole)
        assert not list(out.glob("*.partial"))


@pytest.mark.slow
def test_sigterm_to_all(tmp_path, whole):
    for launcher in LAUNCHERS:
        out = tmp_path / launcher
        job = SLOWLY | {"out": str(out), "slow": {"seconds": 0.2}}
        with started(command_of(launcher, job)) as (child,):
            while len(list(out.glob("shard-*.npz"))) < 2:
                time.sleep(0.05)
                assert child.poll() is None
            victims = processes_of(child.pid)
            signalled = time.monotonic()
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            ((status, output),) = ended([child])
            assert status != 0, output[-3000:]
            assert time.monotonic() - signalled < SOON
        check_left(out, output)
        run(SLOWLY | {"out": str(out)})
        same(out, whole)


@pytest.mark.parametrize("launcher", [pytest.param(one, marks=pytest.mark.slow) for one in LAUNCHERS])
def test_a_full_disk(tmp_path, whole, launcher):
    """With a limit of file sizes, which ends the writing of a shard in the middle."""
    out = tmp_path / "out"
    job = SLOWLY | {"out": str(out), "shard_rows": 32}
    command = command_of(launcher, job | {"largest_file": 2000})
    # In a new process, since the limit would also apply to the file that a fork prints to.
    with started(command if command[0] == sys.executable else [sys.executable, *command]) as (child,):
        ((status, output),) = ended([child])
    assert status != 0
    assert "File too large" in output
    assert sorted(path.name for path in out.iterdir()) == [LOCKS, "manifest.json"]
    run(job)
    same(out, whole)


@pytest.mark.reliability(
    "results folders", "two runs into one folder at once", "the second is refused, the first goes on"
)
@pytest.mark.slow
def test_two_runs_into_one_folder_at_once(tmp_path):
    job = SLOWLY | {"out": str(tmp_path / "out"), "slow": {"seconds": 5}}
    with started(command_of("fork", job)) as (first,):
        while not list((tmp_path / "out").glob("shard-*.npz")):
            time.sleep(0.05)
            assert first.poll() is None
        with started(command_of("fork", job)) as (second,):
            ((status, output),) = ended([second])
        assert status != 0
        assert "is in use by process" in output
        assert first.poll() is None


@pytest.mark.slow
def test_processes_with_different_data_are_refused(tmp_path):
    job = SHARED | {"out": str(tmp_path / "out"), "seed": "rank"}
    with started(command_of("torchrun", job)) as (child,):
        ((status, output),) = ended([child])
    assert status != 0
    assert "the processes of this run have different data" in output


@pytest.mark.slow
def test_memory_does_not_grow_with_rows(tmp_path):
    """Compare a run of 20,000 small rows with one of 2,000."""
    job = {"rows": 2_000, "batch_size": 32, "memory": True, "kind": "attribute"}
    few = run(job | {"out": str(tmp_path / "few")})
    many = run(job | {"out": str(tmp_path / "many"), "rows": 20_000})
    grown = [float(each.split("MiB grown: ")[1].split()[0]) for each in (few, many)]
    print(f"peak grew by {grown} MiB over 2,000 and 20,000 rows")
    assert grown[1] - grown[0] < 25
