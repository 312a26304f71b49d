"""Time what every layer contributes: the ledger and the contributions of one layer, beside the plain call.

Usage: ``python benchmarks/layers.py [rounds]``. Sequences against 20 references each, with one thread: two CNNs and a
transformer of ``networks.py``, one sequence or several. The ledger reads all modules; the layer is one in the middle.
Captum's LayerDeepLift of it, one sequence at a time against all its references, stands beside. In each round all run in
turn; ratios are those of the least processor times.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from harness import count_argument, describe_machine, write_results
from networks import Transformer, basset_like, bpnet_like
from torch import nn

import seqlight as sl

REFERENCES = 20
# How to make each model, the number of positions, the layer in its middle, and the numbers of sequences.
MODELS: dict[str, tuple[Callable[[], nn.Module], int, str, tuple[int, ...]]] = {
    "basset-like": (basset_like, 600, "6", (1, 8)),
    "bpnet-like": (bpnet_like, 2114, "5", (1, 4)),
    "transformer": (Transformer, 600, "blocks.0", (1, 16)),
}


def make_calls(name: str, sequences: int) -> dict[str, Callable[[], Any]]:
    """Return the plain call, the ledger, the contributions of a layer, and those by Captum."""
    make, length, layer, _ = MODELS[name]
    torch.manual_seed(0)
    model = make().eval().requires_grad_(False)
    X = sl.random_one_hot((sequences, 4, length), random_state=0).float()
    references = sl.shuffle(X, n=REFERENCES, random_state=0).float()
    settings: dict[str, Any] = {"references": references, "device": "cpu", "warning_threshold": 1e9}

    def ours(layers: Any) -> Callable[[], Any]:
        return lambda: sl.attribute(model, X, layers=layers, **settings)

    calls = {"plain": ours(None), "ledger": ours(True), "layer": ours([layer])}
    try:
        import captum.attr as ca
    except ImportError:
        return calls
    with_gradients = make().eval()  # Captum asks every layer for a gradient
    theirs = ca.LayerDeepLift(with_gradients, with_gradients.get_submodule(layer))

    def captum() -> None:
        for x, r in zip(X, references, strict=True):
            theirs.attribute(x.expand_as(r), r, target=0)

    return {**calls, "captum": captum}


def least_times(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the least processor time of each, in seconds."""
    for call in calls.values():
        call()
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            gc.collect()
            start = time.process_time()
            call()
            least[name] = min(least[name], time.process_time() - start)
    return least


def main() -> None:
    rounds = count_argument(7)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    machine, found = describe_machine(), list[dict[str, Any]]()
    for name, (*_, numbers) in MODELS.items():
        for sequences in numbers:
            least = least_times(make_calls(name, sequences), rounds)
            ratios = {f"{one}_over_plain": least[one] / least["plain"] for one in [*least][1:]}
            found.append({"model": name, "sequences": sequences, "seconds": least, **ratios})
            print(name, sequences, {one: round(ratio, 2) for one, ratio in ratios.items()}, flush=True)
    print(write_results("layers", {"references": REFERENCES, "rounds": rounds, "models": found}, machine))


if __name__ == "__main__":
    main()
