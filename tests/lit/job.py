"""A run as a script, which launchers start in each process: ``python job.py '{"out": ..., "rows": 7, ...}'``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, PredictModule

LENGTH = 24


class Net(nn.Module):
    """A small network whose outputs are a dict."""

    def __init__(self, dtype=torch.float64, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Conv1d(4, 5, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(50, 3)).to(
            dtype
        )

    def forward(self, X):
        y = self.body(X)
        return {"profile": y, "counts": (y.sum(dim=1), y[:, :1])}


class Slow(nn.Module):
    """Sleeps in each batch, and fails in a given way in one process at one batch."""

    def __init__(self, seconds=0.0, trouble=None, rank=None, batch=1):
        super().__init__()
        self.net = Net()
        self.seconds, self.trouble, self.rank, self.batch = seconds, trouble, rank, batch
        self.batches = 0

    def __repr__(self):
        return "Slow()"  # the same model, however it fails

    def forward(self, X):
        time.sleep(self.seconds)
        self.batches += 1
        if self.trouble and self.rank in (None, rank()):
            self.fail()
        return self.net(X)

    def fail(self):
        if self.batches != self.batch:
            return
        Path(os.environ["JOB_TROUBLE"]).write_text(str(time.time()))
        if self.trouble == "raise":
            raise RuntimeError("only here")
        os.kill(os.getpid(), {"kill": signal.SIGKILL, "term": signal.SIGTERM}[self.trouble])


class Lines(Dataset):
    """Sequences as a Dataset with labels, loci and names."""

    def __init__(self, X):
        self.X = X
        start = np.arange(len(X)) * 10
        n = len(X)
        self.row_names = [f"line {i}" for i in range(n)]
        self.loci = sl.Loci(np.array(["chr1"] * n, object), start, start + LENGTH, np.array(["+"] * n, object))

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], i


def profile(output):
    return output["profile"][:, 0]


def first(output):
    return output["profile"]


def module(kind, dtype="float64", **slow):
    if kind == "predict":
        return PredictModule(Slow(**slow), identity="slow") if slow else PredictModule(Net(getattr(torch, dtype)))
    if kind == "slow score":
        # A number for each window.
        return PredictModule(Slow(**slow), func=profile, identity="slow")
    if kind == "slow predict":
        # The same model, however it fails.
        return PredictModule(Slow(**slow), identity="slow")
    n = {"attribute": 3, "auto": "auto"}[kind]
    net = Net(getattr(torch, dtype))
    return DeepLiftShapModule(
        net, target=profile, n_shuffles=n, max_shuffles=30, hypothetical=True, keep=("references",), deltas="ignore"
    )


def sequences(rows, seed=0):
    return (
        sl.random_one_hot((rows, 4, LENGTH), random_state=seed)
        if rows
        else torch.zeros((0, 4, LENGTH), dtype=torch.int8)
    )


def limit_files(size):
    """Limit the size of files, as a full disk does."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def peak():
    """Return the peak memory of this process, in MiB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rank():
    """Return the rank of this process, as set by its launcher."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", os.environ.get("LOCAL_RANK", "0"))))


def main(
    out,
    rows=7,
    kind="predict",
    dtype="float64",
    dataset=False,
    slow=None,
    seed=0,
    report=None,
    largest_file=None,
    memory=False,
    genome=None,
    **settings,
):
    X = sequences(rows, rank() if seed == "rank" else seed)
    settings = {"accelerator": "cpu", "devices": 1, "progress": False} | settings
    if memory:
        sl.run(module(kind, dtype), X[:200], f"{out}-warm", **settings)
        before = peak()
    if largest_file:
        limit_files(largest_file)
    if genome:
        found = sl.track(module(kind, dtype, **(slow or {})), genome, out, window=LENGTH, **settings)
    else:
        found = sl.run(module(kind, dtype, **(slow or {})), Lines(X) if dataset else X, out, **settings)
    if memory:
        print(f"MiB grown: {peak() - before:.1f}")
    if report:
        Path(report).mkdir(exist_ok=True)
        (Path(report) / f"rank-{rank()}").write_text(f"{len(found)} {sorted(found.names)}")


if __name__ == "__main__":
    # Imported by name, so that models and targets have the same module as in a test that imports this file.
    sys.path.insert(0, str(Path(__file__).parent))
    from job import main

    torch.set_num_threads(1)
    # A fork of torchrun inherits signal handlers of its launcher, which a new process does not have.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, signal.SIG_DFL)
    jobs = json.loads(sys.argv[1])
    for job in jobs if isinstance(jobs, list) else [jobs]:
        main(**job)
