"""Time DeepLIFT/SHAP of recurrent networks against the floor, and against what it was before they had a rule.

Usage: ``python benchmarks/recurrent.py [rounds]``. A convolution, an LSTM, GRU or RNN of 32 or 320 numbers over 30 or
300 positions, and a dense layer, in float32 and float64: 4 sequences against 20 references each, 64 pairs at a time,
with one thread. The floor is what no method of two passes can do without: the sequences forward, and the references
forward and backward, in plain PyTorch. Before, the layer was integrated numerically; that takes too long but for the
smallest. In each round all run in turn; ratios are those of the least times.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from harness import count_argument, describe_machine, time_in_turn, write_results
from torch import Tensor, nn

import seqlight as sl
from seqlight.attribution.rules.numerical_integration import Integrated
from seqlight.attribution.rules.table import rules

KINDS: dict[str, Any] = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
SIZES, LENGTHS = (32, 320), (30, 300)
FUNCTIONS = (torch.lstm, torch.gru, torch.rnn_tanh)
SEQUENCES, REFERENCES, BATCH, CHANNELS = 4, 20, 64, 32


class Network(nn.Module):
    """A convolution, a recurrent layer, and the mean."""

    def __init__(self, kind: str, size: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, CHANNELS, 9, padding=4)
        self.layer, self.last = KINDS[kind](CHANNELS, size, batch_first=True), nn.Linear(size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return one number for each row."""
        found: Tensor = self.last(self.layer(self.first(x).relu().mT)[0].mean(1))
        return found


@contextlib.contextmanager
def integrated() -> Iterator[None]:
    """Let recurrent layers be integrated, as they were."""
    table = rules()
    own = {one: table[one] for one in FUNCTIONS}
    table.update({one: replace(entry, one_operand=Integrated()) for one, entry in own.items()})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sl.IntegratedWarning)
            yield
    finally:
        table.update(own)


def passes(model: nn.Module, positions: int, dtype: torch.dtype) -> dict[str, Callable[[], None]]:
    """Return calls of the floor and of ours, on the same sequences and references."""
    model.to(dtype).requires_grad_(False).eval()
    X = sl.random_one_hot((SEQUENCES, 4, positions), random_state=0).to(dtype)
    references = sl.random_one_hot((SEQUENCES * REFERENCES, 4, positions), random_state=1).to(dtype)

    def floor() -> None:
        with torch.no_grad():
            model(X)
        for rows in references.split(BATCH):
            leaf = rows.clone().requires_grad_()
            model(leaf).sum().backward()

    def ours() -> None:
        pairs = references.view(SEQUENCES, REFERENCES, 4, positions)
        sl.deep_lift_shap(model, X, references=pairs, batch_size=BATCH, device="cpu", dtype=str(dtype)[6:])

    return {"floor": floor, "ours": ours}


def measure(kind: str, size: int, positions: int, dtype: torch.dtype, rounds: int) -> dict[str, Any]:
    """Return the least seconds of each, and ours and those before over the floor."""
    torch.manual_seed(0)
    calls = passes(Network(kind, size), positions, dtype)

    def before() -> None:
        with integrated():
            calls["ours"]()

    if size * positions <= 1000 and dtype == torch.float32:
        calls["before"] = before
    least = {name: timing.least for name, timing in time_in_turn(calls, rounds).items()}
    return {"seconds": least, **{f"{name}_over_floor": least[name] / least["floor"] for name in [*calls][1:]}}


def measure_all(rounds: int) -> list[dict[str, Any]]:
    """Measure and print each network."""
    found = []
    for kind, size, positions in itertools.product(KINDS, SIZES, LENGTHS):
        of = {name: measure(kind, size, positions, getattr(torch, name), rounds) for name in ("float32", "float64")}
        ratio = of["float64"]["seconds"]["ours"] / of["float32"]["seconds"]["ours"]
        found.append({"layer": kind, "size": size, "positions": positions, **of, "float64_over_float32": ratio})
        shares = {name: round(one["ours_over_floor"], 2) for name, one in of.items()}
        print(kind, size, positions, shares, round(ratio, 2), of["float32"].get("before_over_floor"), flush=True)
    return found


def main() -> None:
    rounds = count_argument(3)
    torch.set_num_threads(1)
    machine, found = describe_machine(), measure_all(rounds)
    settings = {"sequences": SEQUENCES, "references": REFERENCES, "batch_size": BATCH, "rounds": rounds}
    print(write_results("recurrent", {**settings, "networks": found}, machine))


if __name__ == "__main__":
    main()
