"""All pairs of substitutions of a region of sequences, up to a distance from each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlight.attribution.methods.mutant_grid import MutantGrid
from seqlight.errors import InputError
from seqlight.prediction.outputs import map_structure
from seqlight.sequence.checks import require_count


class PairParts(NamedTuple):
    """The substitutions that pairs are made of.

    Attributes
    ----------
    first, second : torch.Tensor, int64, shape (places,)
        Their places in the grid of single mutants; where there is no second one, that of another.
    known : torch.Tensor, bool
        Whether the sequence has the first letter already.
    beyond : torch.Tensor, bool
        Whether the second position lies beyond the region, so that there is no second substitution.
    """

    first: Tensor
    second: Tensor
    known: Tensor
    beyond: Tensor


class PairGrid(MutantGrid):
    """All places (sequence, position, distance - 1, letter, letter there), numbered in this order of dimensions.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    start, end : int
        The region, in which both positions lie.
    max_distance : int, optional
        Of the second position from the first one; None for all of the region.

    Raises
    ------
    InputError
        If there are no pairs.
    """

    def __init__(self, X: Tensor, start: int, end: int, max_distance: int | None) -> None:
        super().__init__(X, start, end)
        if end - start < 2:
            raise InputError(
                f"the region from {start} to {end} has one position: expected two or more for pairwise=True."
            )
        most = end - start - 1
        most = most if max_distance is None else min(most, require_count(max_distance, "max_distance", least=1))
        self.shape = torch.Size((len(X), end - start, most, X.shape[1], X.shape[1]))

    def masks(self) -> Iterator[Tensor]:
        """Yield for all places of a position, one after the other, whether both letters are new there."""
        _, positions, most, letters, _ = self.shape
        for new in super().masks():
            new = torch.nn.functional.pad(new.view(positions, letters), (0, 0, 0, most))
            for i in range(positions):
                yield (new[i, :, None] & new[i + 1 : i + 1 + most, None, :]).flatten()

    def substitutions(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the letters of each place, and their positions in the whole sequence, both (places, 2)."""
        _, i, distance, *letters = torch.unravel_index(places, self.shape)
        return torch.stack(letters, 1), torch.stack([i, i + distance + 1], 1) + self.start

    def parts(self, places: Tensor) -> PairParts:
        """Return what pairs are made of."""
        letters, positions = self.substitutions(places)
        positions, rows = positions - self.start, self.rows(places)
        beyond = positions[:, 1] >= self.shape[1]
        singles = (rows.unsqueeze(1) * self.shape[1] + positions.clamp(max=self.shape[1] - 1)) * self.shape[3] + letters
        known = self.region[rows, letters[:, 0], positions[:, 0]] == 1
        return PairParts(singles[:, 0], singles[:, 1], known, beyond)

    def outputs_of_singles(self, places: Tensor, singles: Any) -> Any:
        """Return outputs for places, right for those that have at most one new letter."""
        parts = self.parts(places)
        at = torch.where(parts.known & ~parts.beyond, parts.second, parts.first)
        return map_structure(lambda one: one[at], singles)

    def interactions(self, y: Tensor, places: Tensor, singles: Tensor, y0: Tensor) -> Tensor:
        """Return the effect of both substitutions minus those of each alone, for the outputs `y` of some places."""
        parts, alone = self.parts(places), y0[self.rows(places)]
        second = singles[parts.second] - alone
        second[parts.beyond] = 0
        return (y - singles[parts.first]) - second

    def two_places(self) -> Tensor:
        """Return the places of the closest pair at the start of the first sequence, and of a wider one amid it."""
        at = torch.tensor([0, (self.shape[1] - 1) // 2], device="cpu")
        distance = torch.tensor([0, (self.shape[2] - 1) // 2], device="cpu")
        a, b = self.next_letters(at), self.next_letters(at + distance + 1)
        return (((at * self.shape[2]) + distance) * self.shape[3] + a) * self.shape[4] + b

    def spread(self, mutants: int) -> int:
        """Return how many more positions some mutants in a row change than a single one."""
        return -(-mutants // max(1, self.X.shape[1] - 1) ** 2) - 1
