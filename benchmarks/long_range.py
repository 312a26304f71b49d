"""Time DeepLIFT/SHAP of what models of long ranges are made of against the floor, layers of recurrent networks aside.

Usage: ``python benchmarks/long_range.py [rounds]``; the layers are in ``recurrent.py``. Packed sequences, projections
and cells called step by step, with 32 or 320 numbers; Mamba with its selective scan in PyTorch, at 64 to 512 positions;
attention by sparsemax and entmax, each written in operations, at 50 and 200 positions. 4 sequences against 20
references each, 64 pairs at a time, with one thread. The floor is what no method of two passes can do without: the
sequences forward, and the references forward and backward, in plain PyTorch. In each round both run in turn; ratios are
those of the least seconds of the processor. The largest run once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from harness import count_argument, describe_machine, write_results
from recurrent import BATCH, CHANNELS, REFERENCES, SEQUENCES, passes
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqlight.studies.suites.architectures.mamba import Mamba

SIZES = ((32, 30), (32, 300), (320, 30))
SCANS = (64, 128, 256, 512)
ROWS = (50, 200)
DTYPES = (torch.float32, torch.float64)
# What takes more seconds than this in both passes runs once.
LONG = 1.0


class Recurrent(nn.Module):
    """A convolution, a recurrent network in one of its forms, and the mean."""

    def __init__(self, form: str, size: int) -> None:
        super().__init__()
        self.first, self.form = nn.Conv1d(4, CHANNELS, 9, padding=4), form
        self.layer: Any
        if "cell" in form:
            self.layer = {"LSTM": nn.LSTMCell, "GRU": nn.GRUCell}[form.split()[0]](CHANNELS, size)
        else:
            self.layer = nn.LSTM(
                CHANNELS, size, batch_first=True, proj_size=size // 2 if form == "LSTM with projections" else 0
            )
        self.last = nn.Linear(size // 2 if form == "LSTM with projections" else size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return one number for each row."""
        h = self.first(x).relu().mT
        if self.form == "packed LSTM":
            lengths = torch.full((len(h),), h.shape[1] - 3)
            y = pad_packed_sequence(self.layer(pack_padded_sequence(h, lengths, batch_first=True))[0], True)[0]
        elif "cell" in self.form:
            state, states = None, []
            for one in h.unbind(1):
                state = self.layer(one, state)
                states.append(state[0] if isinstance(state, tuple) else state)
            y = torch.stack(states, 1)
        else:
            y = self.layer(h)[0]
        found: Tensor = self.last(y.mean(1))
        return found


def softmax(z: Tensor) -> Tensor:
    """Return PyTorch's softmax, to compare with."""
    return z.softmax(-1)


def sparsemax(z: Tensor) -> Tensor:
    """Return sparsemax: what is above a threshold that the numbers above it have in common."""
    ordered, k = z.sort(-1, descending=True).values, torch.arange(1, z.shape[-1] + 1, dtype=z.dtype)
    sums = ordered.cumsum(-1) - 1
    count = (k * ordered > sums).sum(-1, keepdim=True)
    return (z - sums.gather(-1, count - 1) / count).clamp(min=0)


def entmax(z: Tensor) -> Tensor:
    """Return entmax with exponent 1.5."""
    z = (z - z.amax(-1, keepdim=True)) / 2
    ordered, k = z.sort(-1, descending=True).values, torch.arange(1, z.shape[-1] + 1, dtype=z.dtype)
    mean, squares = ordered.cumsum(-1) / k, ordered.square().cumsum(-1)
    tau = mean - ((1 - squares + k * mean.square()) / k).clamp(min=0).sqrt()
    count = (tau <= ordered).sum(-1, keepdim=True)
    return (z - tau.gather(-1, count - 1)).clamp(min=0).square()


class Attention(nn.Module):
    """A convolution, and one head of attention."""

    def __init__(self, weights: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.weights = nn.Conv1d(4, 16, 9, padding=4), weights
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))
        self.last = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return one number for each row."""
        h = self.first(x).relu().mT
        found: Tensor = self.last((self.weights(self.query(h) @ self.key(h).mT) @ self.value(h)).relu().mean(1))
        return found


def measure(make: Callable[[], nn.Module], positions: int, dtype: torch.dtype, rounds: int) -> dict[str, Any]:
    """Return the least seconds of the processor of both, and their ratio."""
    torch.manual_seed(0)
    calls = passes(make(), positions, dtype)
    least = {name: _seconds(call) for name, call in calls.items()}  # the first calls warm up what is not large
    for _ in range(rounds if least["floor"] < LONG else 0):
        least = {name: min(least[name], _seconds(call)) for name, call in calls.items()}
    return {"seconds": least, "ours_over_floor": least["ours"] / least["floor"]}


def _seconds(call: Callable[[], None]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def measure_all(rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Return what was measured of recurrent networks, selective scans and attention."""
    found: dict[str, list[dict[str, Any]]] = {"recurrent": [], "scans": [], "attention": []}

    def keep(group: str, of: dict[str, Any], measured: dict[str, Any]) -> None:
        found[group].append({**of, **measured})
        print(group, of, round(measured["ours_over_floor"], 2), flush=True)

    for form in ("packed LSTM", "LSTM with projections", "LSTM cell", "GRU cell"):
        for size, positions in SIZES:
            for dtype in DTYPES:
                of = {"form": form, "size": size, "positions": positions, "dtype": str(dtype)[6:]}
                measured = measure(lambda form=form, size=size: Recurrent(form, size), positions, dtype, rounds)
                keep("recurrent", of, measured)
    for positions in SCANS:  # behind a convolution of stride 4
        keep("scans", {"positions": positions}, measure(Mamba, 4 * positions, torch.float32, rounds))
    for weights in (softmax, sparsemax, entmax):
        for positions in ROWS:
            measured = measure(lambda weights=weights: Attention(weights), positions, torch.float32, rounds)
            keep("attention", {"weights": weights.__name__, "positions": positions}, measured)
    return found


def main() -> None:
    """Measure, and write results/long_range.json."""
    torch.set_num_threads(1)
    machine, rounds = describe_machine(), count_argument(3)
    settings = {"sequences": SEQUENCES, "references": REFERENCES, "batch_size": BATCH, "rounds": rounds}
    print(write_results("long_range", {**settings, **measure_all(rounds)}, machine))


if __name__ == "__main__":
    main()
