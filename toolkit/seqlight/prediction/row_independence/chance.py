"""Whether the outputs for the same rows differ by chance: by random numbers that a model draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from seqlight.prediction.borrowed_model.borrow import device_of
from seqlight.prediction.borrowed_model.random_generators import DrawDetector
from seqlight.prediction.row_independence.culprit import RunRows
from seqlight.prediction.row_independence.tolerance import reruns_differ

# A model that draws random numbers is rerun on this many rows in all, in at least so many runs: it may drop few.
DRAWS, RUNS = 128, 4


def run_and_detect_draws(model: nn.Module, run: RunRows, rows: Sequence[int]) -> tuple[Any, bool]:
    """Return the output for some rows, and whether random numbers were drawn."""
    draws = DrawDetector(device_of(model, torch.device("cpu")))
    return run(rows), draws.has_drawn()


def differs_by_chance(run: RunRows, rows: Sequence[int], most: int, func: Callable[[Any], Any] | None = None) -> bool:
    """Return whether reruns of the same batch differ, with at most `most` rows in it."""
    # In batches as large as the model takes anyway, since each row has its own draw.
    rows = list(rows) * max(1, min(most, 32) // len(rows))
    output = run(rows)
    reruns = (run(rows) for _ in range(min(max(DRAWS // len(rows), RUNS), 32)))
    other = next(((one,) for one in reruns if reruns_differ(output, one)), None)
    return other is not None and (func is None or reruns_differ(func(output), func(other[0])))
