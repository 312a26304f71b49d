"""Match what was recorded of the sequences with the tensors of the reference pass.

The reference index is the major one: row ``r * b + i`` is reference r of sequence i, for b sequences.
A tensor of the reference pass is then n times longer than its recorded partner in exactly one dimension,
whichever the model uses for the batch, and splitting that dimension into (n, b) aligns the partners.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from seqlight.errors import UnsupportedOperation


def differing_dimension(shape: Sequence[int], other: Sequence[int]) -> int | None:
    """Return the dimension in which two shapes differ, or None if it is not a single one.

    Examples
    --------
    >>> differing_dimension((2, 4, 9), (6, 4, 9)), differing_dimension((2, 4), (6, 5))
    (0, None)
    """
    if len(shape) != len(other):
        return None
    differing = [d for d, (one, another) in enumerate(zip(shape, other, strict=True)) if one != another]
    return differing[0] if len(differing) == 1 else None


def batch_dimension(recorded: Tensor, reference: Tensor) -> tuple[int, int] | None:
    """Return the dimension in which `reference` is longer, and how many times as long; None for equal shapes.

    Raises
    ------
    UnsupportedOperation
        If the shapes differ in another way: the model mixes the sequences of a batch.
    """
    if recorded.shape == reference.shape:
        return None
    dimension, times, _ = _split(recorded.shape, reference.shape)
    return dimension, times


def align_partners(recorded: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Return both, or views of them, that broadcast against each other, each reference with its sequence."""
    if recorded.shape == reference.shape:
        return recorded, reference
    dimension, _, shape = _split(recorded.shape, reference.shape)
    if shape is None:
        return recorded, reference
    return recorded.unsqueeze(dimension), reference.view(shape)


@lru_cache(maxsize=4096)
def _split(recorded: torch.Size, reference: torch.Size) -> tuple[int, int, torch.Size | None]:
    """Return the dimension that is longer, how many times, and the shape of the references with it split in two.

    The shape is None for a single sequence, which broadcasts against its references as they are.
    """
    d = differing_dimension(recorded, reference)
    if d is not None and recorded[d] and not reference[d] % recorded[d]:
        times = reference[d] // recorded[d]
        return d, times, None if recorded[d] == 1 else torch.Size((*recorded[:d], times, *recorded[d:]))
    raise UnsupportedOperation(
        f"an operation turned the sequences into shape {tuple(recorded)} and their references into "
        f"{tuple(reference)}: expected them to differ in the batch dimension alone; "
        "a model that mixes the rows of a batch cannot be explained, nor one that picks entries by a mask, "
        "as h[h > 0] does: let torch.where choose."
    )


def repeat_like(recorded: Tensor, like: Tensor) -> Tensor:
    """Return `recorded` repeated for each reference, in the shape of its partner `like`."""
    a, b = align_partners(recorded, like)
    return a.expand(b.shape).reshape(like.shape)


def interpolate(recorded: Tensor, reference: Tensor, share: float) -> Tensor:
    """Return a point on the line from `reference` to `recorded`, in the shape of `reference`.

    Parameters
    ----------
    recorded, reference : torch.Tensor
        Partners.
    share : float
        0 for the reference, 1 for what was recorded.
    """
    a, b = align_partners(recorded, reference)
    return torch.lerp(b, a.to(b.dtype), share).reshape(reference.shape)
