"""Run a model while more and more positions change: those that an attribution ranks highest, or random ones."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from seqlight.errors import InputError
from seqlight.metrics.attribution_tracks import sum_over_letters
from seqlight.metrics.ratios import require_choice, sum_dtype
from seqlight.prediction.borrowed_model.borrow import device_of
from seqlight.prediction.predict import predict
from seqlight.sequence.checks import require_count, require_one_hot, to_codes
from seqlight.sequence.random_streams import seed
from seqlight.sequence.shuffles import dinucleotide_shuffle

FaithfulnessKind = Literal["deletion", "insertion"]
FAITHFULNESS_KINDS = ("deletion", "insertion")
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
Output = int | Callable[[Any], Tensor]


@dataclass(frozen=True)
class Plan:
    """What to change and which output to read: the checked options of :func:`seqlight.metrics.faithfulness_curve`."""

    kind: FaithfulnessKind = "deletion"
    target: Output = 0
    shares: Sequence[float] = SHARES
    n_shuffles: int = 5
    random_state: int = 0
    batch_size: int = 256

    def __post_init__(self) -> None:
        require_choice(self.kind, "kind", FAITHFULNESS_KINDS)
        if not callable(self.target):
            require_count(self.target, "target")
        shares = tuple(map(float, self.shares))
        rising = all(before < after for before, after in pairwise(shares))
        if len(shares) < 2 or shares[0] != 0 or shares[-1] != 1 or not rising:
            raise InputError(f"shares is {self.shares!r}: expected numbers that rise from 0 to 1, such as (0, 0.1, 1).")
        require_count(self.n_shuffles, "n_shuffles", least=1)
        seed(self.random_state)

    def counts(self, positions: int) -> list[int]:
        """Return how many of `positions` are changed at each share."""
        return [round(share * positions) for share in self.shares]


def perturbed_outputs(model: nn.Module, X: Tensor, attributions: Tensor, plan: Plan) -> Tensor:
    """Return the model's outputs with the highest-ranked positions changed, and with random ones changed.

    Parameters
    ----------
    model : torch.nn.Module
        Runs on the device it is on.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Attributions of the observed characters.
    plan : Plan
        What to change, and which output to read.

    Returns
    -------
    torch.Tensor, float64, shape (sequences, 2, shares)
        Means over shuffles, on the device of `X`. NaN for a sequence with an attribution that is not finite.

    Raises
    ------
    InputError
        If the shapes do not match, or the model does not return one number for each sequence.
    """
    X, track = require_one_hot(X), sum_over_letters(attributions)
    if track.shape != (len(X), X.shape[2]):
        raise InputError(
            f"attributions has shape {tuple(attributions.shape)} and X {tuple(X.shape)}: expected the same "
            "sequences and positions in both."
        )
    seeds = _seeds(X, plan.random_state)
    shuffled = dinucleotide_shuffle(X, start=0, end=None, n=plan.n_shuffles, random_state=seeds, allow_N=True)
    before, after = X.unsqueeze(1), shuffled
    if plan.kind == "insertion":
        before, after = after, before
    # Two orders, each (sequences, shuffles or 1, positions); a dimension for the letters is added.
    orders = [_attribution_ranks(track), _random_ranks(seeds, plan.n_shuffles, X.shape[2])]
    ranks = [order.unsqueeze(2).to(X.device) for order in orders]
    columns = []
    for count in plan.counts(X.shape[2]):
        if count in (0, X.shape[2]):
            whole = _outputs(model, after if count else before, plan)
            columns.append(torch.stack([whole, whole], dim=1))
        else:
            mixed = [torch.where(rank < count, after, before) for rank in ranks]
            columns.append(torch.stack([_outputs(model, one, plan) for one in mixed], dim=1))
    known = track.isfinite().all(dim=1).to(X.device)
    return torch.where(known[:, None, None], torch.stack(columns, dim=2), float("nan"))


def _outputs(model: nn.Module, versions: Tensor, plan: Plan) -> Tensor:
    """Return the mean output of each sequence over its versions, shape (sequences, shuffles, letters, positions)."""
    home = device_of(model, versions.device)
    func = _checked_target(plan.target)
    raw = predict(model, versions.flatten(0, 1), func=func, batch_size=plan.batch_size, device=home)
    outputs: Tensor = raw.to(device=versions.device, dtype=sum_dtype(versions.device))
    return outputs.reshape(len(versions), -1).mean(dim=1)


def _seeds(X: Tensor, random_state: int) -> list[int]:
    """Return a seed for each sequence, made from its letters: the same in any batch, row and process."""
    return [zlib.crc32(row.tobytes(), random_state) for row in to_codes(X)]


def _attribution_ranks(track: Tensor) -> Tensor:
    """Return each position's rank by attribution, 0 for the largest, shape (sequences, 1, positions)."""
    order = track.nan_to_num().argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).unsqueeze(1)


def _random_ranks(seeds: Sequence[int], n: int, positions: int) -> Tensor:
    """Return each position's rank in `n` random orders, shape (sequences, n, positions)."""
    # A second number, because the shuffles of the sequence use the seed itself.
    streams = [np.random.RandomState([one, 1]) for one in seeds]
    return torch.tensor(np.array([[stream.permutation(positions) for _ in range(n)] for stream in streams]))


def _checked_target(target: Output) -> Callable[[Any], Tensor]:
    """Return a function that picks the target from the model's output and checks that it has one number a row."""
    read = target if callable(target) else _column(target)

    def checked(output: Any) -> Tensor:
        found = read(output)
        if not isinstance(found, Tensor) or found.ndim != 1:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise InputError(f"target gives {shape}: expected a tensor of one number for each sequence.")
        return found

    return checked


def _column(target: int) -> Callable[[Any], Tensor]:
    target = require_count(target, "target")

    def read(output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim not in (1, 2):
            raise InputError("the model's output is no tensor (sequences, outputs): pass a function as target.")
        columns = output if output.ndim == 2 else output.unsqueeze(1)
        if target >= columns.shape[1]:
            raise InputError(f"target is {target}: expected at most {columns.shape[1] - 1}, the last output.")
        return columns[:, target]

    return read
