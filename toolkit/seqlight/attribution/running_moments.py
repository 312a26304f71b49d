"""Mean and standard error over references, a few references at a time."""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """Mean and spread of contributions over the references met so far, of each sequence on its own.

    Chan, Golub and LeVeque (1979), Updating Formulae and a Pairwise Algorithm for Computing Sample Variances.

    Parameters
    ----------
    n : torch.Tensor, int64, shape (sequences,)
        How many references were met.
    mean, squares : torch.Tensor, float64, shape (sequences, targets, letters, positions)
        Their mean, and the sum of their squared distances from it.
    """

    def __init__(self, like: Tensor) -> None:
        """Start with no reference; `like` has the shape (sequences, targets, letters, positions)."""
        self.n = torch.zeros(len(like), dtype=torch.int64, device="cpu")
        self.mean = torch.zeros(like.shape, dtype=torch.float64, device="cpu")
        self.squares = torch.zeros(like.shape, dtype=torch.float64, device="cpu")

    def add(self, contributions: Tensor, rows: Tensor) -> None:
        """Take more references into account.

        Parameters
        ----------
        contributions : torch.Tensor, float64, shape (sequences, targets, references, letters, positions)
        rows : torch.Tensor, bool, shape (sequences,)
            Of which sequences; the others stay as they are.
        """
        new = contributions[rows]
        more, before = new.shape[2], self.n[rows].view(-1, 1, 1, 1).double()
        mean = new.mean(dim=2)
        step, share = mean - self.mean[rows], more / (before + more)
        self.squares[rows] += (new - mean.unsqueeze(2)).square_().sum(dim=2) + step.square() * before * share
        self.mean[rows] += step * share
        self.n[rows] += more

    @property
    def standard_error(self) -> Tensor:
        """The standard error of the mean, shape of it; NaN for one reference."""
        n = self.n.view(-1, 1, 1, 1).double()
        return (self.squares / (n - 1) / n).sqrt()

    def uncertainty(self, X: Tensor) -> Tensor:
        """Return the size of the standard error as a share of that of the mean, at the characters that are there.

        Parameters
        ----------
        X : torch.Tensor, shape (sequences, letters, positions)
            One-hot.

        Returns
        -------
        torch.Tensor, shape (sequences, targets)
            0 where neither is anything, NaN for one reference.
        """
        there = X.cpu().double().unsqueeze(1)
        error, size = ((one * there).square().sum(dim=(2, 3)) for one in (self.standard_error, self.mean))
        return (error / size.clamp_min(torch.finfo(torch.float64).tiny)).sqrt()
