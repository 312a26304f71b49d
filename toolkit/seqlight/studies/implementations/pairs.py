"""Pairs of a sequence and a reference, some at a time, for implementations that take one baseline a row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

# What our own method and tangermeme take by default.
PAIRS_AT_ONCE = 32

PairFunction = Callable[[Tensor, Tensor, tuple[Tensor, ...]], Tensor]


def explain_pairs(
    X: Tensor, references: Tensor, args: tuple[Tensor, ...], explain: PairFunction, at_once: int = PAIRS_AT_ONCE
) -> Tensor:
    """Return the contributions of all pairs, shape (rows, references, positions).

    Parameters
    ----------
    X : torch.Tensor, shape (rows, letters, positions)
    references : torch.Tensor, shape (rows, references, letters, positions)
    args : tuple of torch.Tensor
        Further inputs with a row for each sequence.
    explain : callable
        Takes sequences (pairs, letters, positions), a reference for each, and the rows of `args`; returns multiplier
        times (sequence - reference), in the shape of the sequences.
    at_once : int
        How many pairs `explain` gets.
    """
    rows, n = references.shape[:2]
    row = torch.arange(rows).repeat_interleave(n)
    baselines = references.flatten(0, 1)
    found = [
        explain(X[row[some]], baselines[some], tuple(one[row[some]] for one in args)).detach().sum(dim=1)
        for some in torch.split(torch.arange(rows * n), at_once)
    ]
    return torch.cat(found).reshape(rows, n, -1)


def has_columns(model: nn.Module, X: Tensor, args: tuple[Tensor, ...]) -> bool:
    """Return whether the output of a model has columns: (rows, columns), and not only (rows,).

    A user knows this. Here it is found by one call with two sequences, or with the only one.
    """
    with torch.no_grad():
        output = model(X[:2].clone(), *(one[:2] for one in args))
    return getattr(output, "ndim", 2) > 1
