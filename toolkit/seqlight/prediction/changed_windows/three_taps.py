"""Convolutions of three taps by what changes, in ``native/changed_convolutions.c``: four products in place of six."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.native.library import has_lanes, library
from seqlight.native.threads import run
from seqlight.prediction.changed_windows.prepared_weights import PreparedWeights

# From this many channels on registers are full.
FEWEST = 16


class ThreeTaps:
    """What a change adds to a convolution, and to a ReLU after it, both in one pass over memory.

    It is computed where it is asked for. Where it is asked for twice, since a model uses the output of a convolution
    before and after its activation, the next ones with this weight are to be kept.

    Parameters
    ----------
    change : torch.Tensor, float32, shape (rows, channels, width), the channels of a position side by side
    weight : torch.Tensor, float32, shape (outputs, channels, 3)
    dilation : int
        At most the width.
    whole : torch.Tensor, float32, shape (1, outputs, length), of the same layout
        The output for the reference.
    starts : torch.Tensor, int64, shape (rows,) or (1,)
        Where the outputs begin in it.
    first, width : int
        Which of the outputs that see the window are wanted.
    prepared : PreparedWeights

    Examples
    --------
    >>> from seqlight.native.library import has_lanes, library
    >>> change, weight = torch.ones(2, 30, 16).mT, torch.ones(16, 16, 3)
    >>> one = ThreeTaps(change, weight, 4, torch.zeros(1, 90, 16).mT, torch.tensor([7]), 0, 38, PreparedWeights())
    >>> one.plain()[0, 0, :14:4].tolist() if has_lanes(library()) else [16.0, 32.0, 48.0, 48.0]
    [16.0, 32.0, 48.0, 48.0]
    """

    def __init__(
        self,
        change: Tensor,
        weight: Tensor,
        dilation: int,
        whole: Tensor,
        starts: Tensor,
        first: int,
        width: int,
        prepared: PreparedWeights,
    ) -> None:
        self.change, self.weight, self.dilation, self.whole = change.mT, weight, dilation, whole.mT
        self.starts, self.first, self.prepared, self.times = starts, first, prepared, 0
        self.shape = torch.Size((len(change), len(weight), width))

    @property
    def is_kept(self) -> bool:
        """Whether to compute the output at once, since it is needed more than once."""
        return id(self.weight) in self.prepared.reused

    def plain(self) -> Tensor:
        """Return what the change adds to the output."""
        return self._run(None)

    def rectified(self) -> Tensor:
        """Return what the change adds to the ReLU of the output."""
        return self._run(self.whole)

    def _run(self, reference: Tensor | None) -> Tensor:
        self.times += 1
        if self.times > 1:
            self.prepared.reused.add(id(self.weight))
        packed = self.prepared.find(self.weight, "three taps", _packed)
        rows, outputs, width = self.shape
        _, before, channels = self.change.shape
        y = self.change.new_empty(rows, width, outputs)
        sizes = channels, outputs, before, self.dilation, self.first, width, len(self.starts) > 1
        tensors = self.change, packed, reference, self.starts, y
        run("changed_convolutions", tensors, sizes, rows, y.numel() * channels // 16)
        return y.mT


def suits(change: Tensor, weight: Tensor, whole: Tensor, dilation: int) -> bool:
    """Return whether the loop takes a convolution with stride 1 and one group."""
    return (
        has_lanes(library())
        and weight.ndim == 3
        and weight.shape[2] == 3
        and min(weight.shape[:2]) >= FEWEST
        and change.shape[2] >= dilation
        and all(one.is_cpu and one.dtype == torch.float32 for one in (change, weight, whole))
        and change.mT.is_contiguous()
        and whole.mT.is_contiguous()
    )


def _packed(weight: Tensor) -> Tensor:
    """Return the five matrices of each panel of outputs, as the loop takes them."""
    native = library()
    assert has_lanes(native)
    panel = 2 * native.lanes()
    last, middle, first = weight.detach().transpose(0, 1).unbind(2)
    matrices = torch.stack([first, (first + middle + last) / 2, (first - middle + last) / 2, last, middle])
    matrices = F.pad(matrices, (0, -matrices.shape[2] % panel))
    return matrices.view(*matrices.shape[:2], -1, panel).permute(2, 0, 1, 3).contiguous()
