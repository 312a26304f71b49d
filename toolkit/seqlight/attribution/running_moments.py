"""Mean and standard error over references that come a few at a time."""

from __future__ import annotations

import torch
from torch import Tensor


class RunningMoments:
    """Mean and spread of contributions over the references so far, for each sequence on its own.

    Chan, Golub and LeVeque (1979), Updating Formulae and a Pairwise Algorithm for Computing Sample Variances.

    Parameters
    ----------
    like : torch.Tensor, shape (sequences, targets, letters, positions)
        Only its shape counts; there may be more dimensions in between.

    Attributes
    ----------
    n : torch.Tensor, int64, shape (sequences,)
        How many references have been added.
    mean, squares : torch.Tensor, float64, shape (sequences, targets, letters, positions)
        The mean of their contributions, and the sum of the squared distances from it.
    """

    def __init__(self, like: Tensor) -> None:
        self.n = torch.zeros(len(like), dtype=torch.int64, device="cpu")
        self.mean = torch.zeros(like.shape, dtype=torch.float64, device="cpu")
        self.squares = torch.zeros(like.shape, dtype=torch.float64, device="cpu")

    def add(self, n: int, mean: Tensor, squares: Tensor, rows: Tensor) -> None:
        """Add more references, given their moments.

        Parameters
        ----------
        n : int
            How many references.
        mean, squares : torch.Tensor, float64, shape (sequences, targets, letters, positions)
            As those of this object.
        rows : torch.Tensor, bool, shape (sequences,)
            The sequences to add them to; the others stay as they are.
        """
        before = self._counts()[rows]
        step, share = mean[rows] - self.mean[rows], n / (before + n)
        self.squares[rows] += squares[rows] + step.square() * before * share
        self.mean[rows] += step * share
        self.n[rows] += n

    @property
    def standard_error(self) -> Tensor:
        """The standard error of `mean`, of the same shape; NaN for one reference."""
        n = self._counts()
        return (self.squares / (n - 1) / n).sqrt()

    def _counts(self) -> Tensor:
        return self.n.view(-1, *[1] * (self.mean.ndim - 1)).double()

    def uncertainty(self, X: Tensor) -> Tensor:
        """Return the norm of the standard error as a share of that of the mean, over the characters of `X`.

        Parameters
        ----------
        X : torch.Tensor, shape (sequences, letters, positions)
            One-hot.

        Returns
        -------
        torch.Tensor, shape (sequences, targets)
            0 where both norms are 0, NaN for one reference.
        """
        there = X.cpu().double().unsqueeze(1)
        error, size = ((one * there).square().sum(dim=(2, 3)) for one in (self.standard_error, self.mean))
        return (error / size.clamp_min(torch.finfo(torch.float64).tiny)).sqrt()
