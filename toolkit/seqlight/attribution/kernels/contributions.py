"""Compiled sums of contributions, of each pair of a sequence and a reference: ``native/contributions.c``.

The plain twin is in ``engine/layer_contributions.py``.
"""

from __future__ import annotations

from torch import Tensor

from seqlight.attribution.kernels.memory_layout import suits
from seqlight.native.threads import run


def totals(multipliers: Tensor, x1: Tensor, x0: Tensor, kept: int) -> Tensor | None:
    """Return the sums of multipliers times differences between sequences and references, or None.

    Parameters
    ----------
    multipliers, x0 : torch.Tensor, shape (references, sequences, ...)
    x1 : torch.Tensor, shape (1, sequences, ...) or that of `x0`
    kept : int
        The number of first dimensions that are not summed over: 2, or 3 for parts of each pair.

    Returns
    -------
    torch.Tensor, ``x0.shape[:kept]``
        In the dtype of `x0`; sums are taken in float64.
    """
    multipliers = multipliers.contiguous()
    if multipliers.shape != x0.shape or not suits(multipliers, x1, x0):
        return None
    shape = x0.shape[:kept]
    out = x0.new_empty(shape)
    span, rows = x1.shape[:kept].numel(), shape.numel()
    numbers = span, rows // span, x0.numel() // rows, x0.element_size()
    run("contribution_totals", (multipliers, x1, x0, out), numbers, rows, x0.numel())
    return out
