"""All substitutions of a region of sequences, and the mutants that they make."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seqlight.prediction.batch_size import BatchSize
from seqlight.sequence.checks import require_region, to_codes


class MutantGrid:
    """All places (sequence, position, letter) of a region of all sequences, numbered in this order of dimensions.

    So mutants that follow one another differ in positions that lie side by side.

    Parameters
    ----------
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    start, end : int
        The region.
    """

    def __init__(self, X: Tensor, start: int, end: int) -> None:
        self.X, self.start, self.region = X, start, X[:, :, start:end]
        self.shape = torch.Size((len(X), end - start, X.shape[1]))

    def batches(self, size: BatchSize) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all places in order, as many at a time as have a batch of mutants, and a mask of those with a mutant.

        A place has no mutant if the sequence has that letter there already.
        """
        begin, new = 0, torch.empty(0, dtype=torch.bool, device="cpu")
        for some in self.masks():
            new = torch.cat([new, some])
            mutants, first, enough = new.nonzero().flatten(), 0, size.rows
            while enough < len(mutants):
                last = int(mutants[enough])
                yield torch.arange(begin + first, begin + last, device="cpu"), new[first:last]
                first, enough = last, enough + size.rows
            begin, new = begin + first, new[first:]
        yield torch.arange(begin, begin + len(new), device="cpu"), new

    def masks(self) -> Iterator[Tensor]:
        """Yield for all places in order, some at a time, whether they have a mutant."""
        for codes in torch.from_numpy(to_codes(self.region)):
            # An unknown character is no letter, so every letter is a mutant.
            yield (torch.arange(self.X.shape[1], dtype=codes.dtype, device="cpu") != codes.unsqueeze(1)).flatten()

    def rows(self, places: Tensor) -> Tensor:
        """Return the index of the sequence of each place."""
        return places // self.shape[1:].numel()

    def mutants(self, places: Tensor) -> Tensor:
        """Return for each place its sequence with that letter at that position, (places, letters, positions)."""
        mutants, each = self.X[self.rows(places)], torch.arange(len(places), device="cpu").unsqueeze(1)
        letters, positions = self.substitutions(places)
        mutants[each, :, positions] = 0
        mutants[each, letters, positions] = 1
        return mutants

    def substitutions(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the letters of each place, and their positions in the whole sequence, both (places, substitutions)."""
        letters, positions = places % self.shape[2], places // self.shape[2] % self.shape[1] + self.start
        return letters.unsqueeze(1), positions.unsqueeze(1)

    def two_places(self) -> Tensor:
        """Return the places of a mutant at the first position of the first sequence, and of one in the middle."""
        at = torch.tensor([0, self.shape[1] // 2], device="cpu")
        return at * self.shape[2] + self.next_letters(at)

    def next_letters(self, at: Tensor) -> Tensor:
        """Return for positions of the region in the first sequence a letter that it does not have there."""
        return (self.region[0, :, at].argmax(dim=0) + 1) % self.X.shape[1]

    def spread(self, mutants: int) -> int:
        """Return how many more positions some mutants in a row change than a single one."""
        return -(-mutants // max(1, self.X.shape[1] - 1)) - 1


def find_region(start: int, end: int | None, length: int) -> tuple[int, int]:
    """Return `start` and `end` as positions from 0 to `length`."""
    if end is None:
        end = length
    elif not isinstance(end, bool) and isinstance(end, int) and end < 0:
        end += length + 1
    return require_region(start, end, length)
