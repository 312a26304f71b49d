from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
import torch
from forkserver import Process

import seqlight as sl
from seqlight.cli.interruption import STATUS, TERMINATED, Interruption, describe_interruption

MODEL = """
import time
import torch

class Net(torch.nn.Module):
    def __init__(self, seconds: float = 0.0):
        super().__init__()
        self.seconds = seconds

    def forward(self, x):
        time.sleep(self.seconds)
        return x.float().sum(dim=2)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_end_a_command(number):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt) as end:
            signal.raise_signal(number)
        assert interruption.ended(end.value)
        assert interruption.ended(SystemExit(1))  # by which Lightning ends
    assert signal.getsignal(number) is before


def test_other_ends_are_no_interruption():
    interruption = Interruption()
    assert not any(interruption.ended(one) for one in (SystemExit(0), SystemExit("words"), ValueError()))
    assert interruption.ended(SystemExit(TERMINATED))


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
        assert not interruption.happened
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_goes_on_is_said():
    assert "the same command goes on from there" in describe_interruption("attribute")
    assert "--ckpt_path last" in describe_interruption("fit")
    assert "starts anew" in describe_interruption("")


@pytest.mark.reliability(
    "command line",
    "Ctrl-C or SIGTERM in the middle of a run",
    "exit status 130, one line that says so, what was finished is kept, and the same command completes it",
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_same_command_goes_on(tmp_path, monkeypatch, number):
    (tmp_path / "slow_model.py").write_text(MODEL)
    X = sl.random_one_hot((40, 4, 10), random_state=0).numpy()
    np.save(tmp_path / "X.npy", X)
    monkeypatch.chdir(tmp_path)
    command = ["-m", "seqlight", "predict", "--model", "slow_model.Net", "--data", "X.npy", "--out", "out"]
    command += ["--batch-size", "2", "--shard-rows", "2", "--accelerator", "cpu", "--devices", "1"]
    # A name for the run, so that it may go on faster than it began.
    command += ["--identity", "slow"]
    env = {name: one for name, one in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    child, out = Process([*command, "--init-args.seconds", "0.1"], "lightning", env), tmp_path / "out"
    while len(list(out.glob("shard-*.npz"))) < 2:
        time.sleep(0.02)
        assert child.poll() is None, child.communicate()
    os.kill(child.pid, number)
    error = child.communicate(timeout=60)[1]
    assert child.returncode == STATUS, error
    # Among what Triton says when a forked process ends.
    assert f"seqlight: {describe_interruption('predict')}" in error.splitlines()
    assert "Traceback" not in error
    kept = {path: path.stat().st_mtime_ns for path in out.glob("shard-*.npz")}
    assert 2 <= len(kept) < 20
    child = Process(command, "lightning", env)
    assert (child.wait(60), child.communicate()[0].splitlines()[0]) == (0, "Results of 40 rows in out")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    np.testing.assert_array_equal(sl.open_results(out)["predictions"], torch.from_numpy(X).float().sum(dim=2))
