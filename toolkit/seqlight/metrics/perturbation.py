"""Change more and more positions of sequences, those on top of an attribution or random ones, and run the model."""

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
from seqlight.metrics.attribution_tracks import positions_of
from seqlight.metrics.ratios import require_choice, widest
from seqlight.prediction.batches import predict
from seqlight.sequence.checks import require_count, require_one_hot, to_codes
from seqlight.sequence.random_streams import seed
from seqlight.sequence.shuffles import dinucleotide_shuffle

FaithfulnessKind = Literal["deletion", "insertion"]
FAITHFULNESS_KINDS = ("deletion", "insertion")
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
Output = int | Callable[[Any], Tensor]


@dataclass(frozen=True)
class Plan:
    """What to change and what to read, as :func:`seqlight.metrics.faithfulness_curve` takes them; checked."""

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
        """Return how many of so many positions are changed, for each share."""
        return [round(share * positions) for share in self.shares]


def perturbed_outputs(model: nn.Module, X: Tensor, attributions: Tensor, plan: Plan) -> Tensor:
    """Return the outputs with positions on top and with random ones changed.

    Parameters
    ----------
    model : torch.nn.Module
        Runs where it is.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    attributions : torch.Tensor, shape (sequences, letters, positions) or (sequences, positions)
        Of the characters that are there.
    plan : Plan
        What is changed and read.

    Returns
    -------
    torch.Tensor, float64, shape (sequences, 2, shares)
        Means over shuffles, on the device of `X`. NaN for a sequence with an attribution that is not finite.

    Raises
    ------
    InputError
        If the shapes do not belong together, or the model gives no number for each sequence.
    """
    X, track = require_one_hot(X), positions_of(attributions)
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
    # How many positions come before each, in either order: (2, sequences, shuffles or 1, letters: 1, positions).
    orders = [_places_on_top(track), _random_places(seeds, plan.n_shuffles, X.shape[2])]
    places = [order.unsqueeze(2).to(X.device) for order in orders]
    columns = []
    for count in plan.counts(X.shape[2]):
        if count in (0, X.shape[2]):
            whole = _outputs(model, after if count else before, plan)
            columns.append(torch.stack([whole, whole], dim=1))
        else:
            mixed = [torch.where(place < count, after, before) for place in places]
            columns.append(torch.stack([_outputs(model, one, plan) for one in mixed], dim=1))
    known = track.isfinite().all(dim=1).to(X.device)
    return torch.where(known[:, None, None], torch.stack(columns, dim=2), float("nan"))


def _outputs(model: nn.Module, versions: Tensor, plan: Plan) -> Tensor:
    """Return the mean output over versions (sequences, shuffles, letters, positions) of each sequence."""
    home = next((one.device for group in (model.parameters(), model.buffers()) for one in group), versions.device)
    read = predict(model, versions.flatten(0, 1), func=_reader(plan.target), batch_size=plan.batch_size, device=home)
    outputs: Tensor = read.to(device=versions.device, dtype=widest(versions.device))
    return outputs.reshape(len(versions), -1).mean(dim=1)


def _seeds(X: Tensor, random_state: int) -> list[int]:
    """Return a seed for each sequence, of its letters: the same in any batch, place and process."""
    return [zlib.crc32(row.tobytes(), random_state) for row in to_codes(X)]


def _places_on_top(track: Tensor) -> Tensor:
    """Return the place of each position in the order of attributions, shape (sequences, 1, positions)."""
    order = track.nan_to_num().argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).unsqueeze(1)


def _random_places(seeds: Sequence[int], n: int, positions: int) -> Tensor:
    """Return the same for `n` orders at random, shape (sequences, n, positions)."""
    # A stream of its own: the shuffles of the sequence have this seed.
    streams = [np.random.RandomState([one, 1]) for one in seeds]
    return torch.tensor(np.array([[stream.permutation(positions) for _ in range(n)] for stream in streams]))


def _reader(target: Output) -> Callable[[Any], Tensor]:
    """Return what reads a number for each row off the model's output."""
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
