"""Measure the host's time for a block: what a further sequence with its references costs beside the numbers themselves.

Usage: ``python benchmarks/host_time.py [before | after] [rounds]``; what was measured is kept beside the other state.
Tensors are so small that computing is nothing: a few positions, a handful of channels, but as many layers as the models
of ``networks.py`` have. What remains is the work of Python and of PyTorch for each call, which decides on a GPU for
small batches, and on the CPU for small models. The floor is plain autograd: one forward pass of the sequence, one
forward and one input-backward pass of its references. Times are processor time of one thread, the least of many rounds
in turn. A block is the slope between a few sequences and many, and what a call costs before its first block is told
apart. Each model is measured with the compiled loops and without.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from harness import describe_machine, make_parser, read_results, write_results
from networks import Encoder, Transformer, bpnet_like, floor
from torch import nn

import seqlight as sl

NAME = "host_time"
REFERENCES, FEW, MANY, ROUNDS = 20, 4, 10, 15
PATHS = {"compiled loops": "1", "plain PyTorch": "0"}


def basset_like() -> nn.Module:
    """Return the layers of the Basset of ``networks.py``, with 6 filters and fewer dense units."""
    layers: list[nn.Module] = []
    for channels, width, pool in [(4, 19, 3), (6, 11, 4), (6, 7, 4)]:
        layers += [nn.Conv1d(channels, 6, width, padding=width // 2), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(pool)]
    layers += [nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(8, 2))


# How to make each model, and the number of positions.
MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "bpnet-like": (lambda: bpnet_like(6), 24),
    "basset-like": (basset_like, 48),
    "transformer": (lambda: Transformer(8), 32),
    "encoder of a library": (Encoder, 12),
}


def make_calls(name: str, rows: int) -> dict[str, Callable[[], Any]]:
    """Return the call of seqlight and the floor, each with so many sequences."""
    make, length = MODELS[name]
    torch.manual_seed(0)
    model = make().eval().requires_grad_(False)
    X = sl.random_one_hot((rows, 4, length), random_state=0).float()
    references = sl.shuffle(X, n=REFERENCES, random_state=0).float()
    ours = {"references": references, "device": "cpu", "batch_size": REFERENCES, "warning_threshold": 1e9}
    return {"seqlight": lambda: sl.deep_lift_shap(model, X, **ours), "floor": lambda: floor(model, X, references)}


def least_times(name: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return milliseconds of this process's only thread, for a block and for what precedes the first one."""
    calls = {(method, rows): call for rows in (FEW, MANY) for method, call in make_calls(name, rows).items()}
    taken: dict[tuple[str, int], list[float]] = {key: [] for key in calls}
    for call in calls.values():
        call()
    gc.disable()
    gc.freeze()  # what is there already need not be looked through each time
    for _ in range(rounds):
        for key, call in calls.items():
            gc.collect()
            start = time.thread_time()
            call()
            taken[key].append(1e3 * (time.thread_time() - start))
    found = {}
    for method in ("seqlight", "floor"):
        few, many = min(taken[method, FEW]), min(taken[method, MANY])
        block = (many - few) / (MANY - FEW)
        found[method] = {"block_ms": block, "call_ms": few - FEW * block}
    return found


def measure(rounds: int) -> dict[str, Any]:
    """Measure every model with the compiled loops and without, each in a process of its own."""
    found: dict[str, Any] = {}
    for name in MODELS:
        found[name] = {}
        for path, native in PATHS.items():
            command = [sys.executable, __file__, "model", name, str(rounds)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env={**os.environ, "SEQLIGHT_NATIVE": native}
            )
            times = json.loads(done.stdout.splitlines()[-1])
            ratio = times["seqlight"]["block_ms"] / times["floor"]["block_ms"]
            found[name][path] = {**times, "block_over_floor": ratio}
            print(f"{name}, {path}: {times['seqlight']['block_ms']:.2f} ms, {ratio:.2f} of the floor", flush=True)
    return found


def main(state: str, rounds: int) -> None:
    """Write what was measured as the state `state`, beside those measured before."""
    try:
        known = read_results(NAME)
    except FileNotFoundError:
        known = {}
    known.pop("machine", None)
    known["workload"] = {"references": REFERENCES, "dtype": "float32", "rounds": rounds, "sequences": [FEW, MANY]}
    machine = {**describe_machine(), "torch_threads": 1}
    found = {"load": machine["load_before"], "models": measure(rounds)}
    print(write_results(NAME, {**known, state: found}, machine))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    match sys.argv[1:]:
        case ["model", *one]:
            parser = make_parser("Print the times of one model as JSON.", "model")
            parser.add_argument("name", choices=MODELS)
            parser.add_argument("rounds", type=int)
            asked = parser.parse_args(one)
            print(json.dumps(least_times(asked.name, asked.rounds)))
        case given:
            parser = make_parser(__doc__)
            parser.add_argument(
                "state", nargs="?", choices=("before", "after"), default="after", help="by default, after"
            )
            parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS, help=f"by default, {ROUNDS}")
            # The number of rounds may stand alone.
            asked = parser.parse_args(["after", *given] if given and given[0].isdigit() else given)
            main(asked.state, asked.rounds)
