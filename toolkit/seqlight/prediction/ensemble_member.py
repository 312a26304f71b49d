"""One member of an ensemble: a model that reads a sequence on one strand, shifted, and says it as of the other one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.errors import InputError
from seqlight.prediction.model_wrapper import ModelWrapper
from seqlight.prediction.outputs import map_structure

Positions = int | Literal["none"] | None


@dataclass(frozen=True)
class Geometry:
    """What the other strand and a shift do to inputs and outputs, as in :class:`seqlight.Ensemble`."""

    complement: tuple[int, ...] = (3, 2, 1, 0)
    positions: Positions = None
    strand_channels: int | None = None
    resolution: int = 1
    tracks: tuple[int, ...] | None = None


class EnsembleMember(ModelWrapper):
    """A model on one strand, with one shift, whose output is that for the sequence as it was given.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``.
    fold : int
        Which of the ensemble's models it is.
    reverse : bool
        Whether it reads the reverse complement.
    shift : int
        By how many positions the sequence is moved to the right before; unknown characters, columns of zeros, enter.
    geometry : Geometry
    """

    def __init__(self, model: nn.Module, fold: int, reverse: bool, shift: int, geometry: Geometry) -> None:
        super().__init__(model)
        self.fold, self.reverse, self.shift, self.geometry = fold, reverse, shift, geometry

    @property
    def label(self) -> str:
        """What it is named by in messages."""
        return f"fold {self.fold}{', reverse strand' * self.reverse}{f', shift {self.shift}' if self.shift else ''}"

    def forward(self, X: Tensor, *args: Any) -> Any:
        """Return the model's output, turned back and moved back."""
        if not (self.reverse or self.shift):
            return self.model(X, *args)
        with torch._C.DisableTorchFunction():
            shape = X.shape
        moved = [self._track(one, i, shape[-1]) for i, one in enumerate(args)]
        return map_structure(self._turned_back, self.model(self._read(X, shape), *moved))

    def _read(self, X: Tensor, shape: torch.Size) -> Tensor:
        """Return the sequences as the model reads them."""
        if self.shift:
            X = _moved(X, self.shift, shape[-1])
        if not self.reverse:
            return X
        partners = self.geometry.complement
        if len(partners) != shape[1]:
            raise InputError(
                f"X has {shape[1]} letters, and the ensemble knows the complement of {len(partners)}: expected DNA or "
                "RNA for both strands; pass complement=, the partner of each letter, or strands='forward'."
            )
        if partners == tuple(range(len(partners)))[::-1]:
            return X.flip(1, 2)
        order = [partners.index(letter) for letter in range(len(partners))]
        return X[:, order].flip(2)

    def _track(self, one: Any, i: int, positions: int) -> Any:
        """Return a further input: moved and turned if it runs along the sequence."""
        if not isinstance(one, Tensor):
            return one
        if self.geometry.tracks is None and one.ndim > 2 and one.shape[-1] == positions:
            raise InputError(
                f"args[{i}] has shape {tuple(one.shape)}, perhaps of tracks along the sequence: expected to be told "
                f"whether strands and shifts concern it; pass tracks=({i},) if so, or tracks=()."
            )
        if i not in (self.geometry.tracks or ()):
            return one
        one = _moved(one, self.shift, one.shape[-1]) if self.shift else one
        return one.flip(*range(1, one.ndim)) if self.reverse else one

    def _turned_back(self, y: Tensor) -> Tensor:
        """Return an output as of the sequence that was given."""
        with torch._C.DisableTorchFunction():
            shape = y.shape
        known = self.geometry
        if known.positions is None and len(shape) > 2 and shape[2:].numel() > 1:
            raise InputError(
                f"{self.label} returns a tensor of shape {tuple(shape)}: expected to be told which dimension runs "
                "along the sequence; pass positions=, such as 2, and strand_channels= if strands have channels of "
                "their own, or positions='none'."
            )
        along = known.positions if isinstance(known.positions, int) and known.positions < len(shape) else None
        if self.reverse:
            dims = {d for d in (along, known.strand_channels) if d is not None and d < len(shape) and shape[d] > 1}
            y = y.flip(*sorted(dims)) if dims else y
        step = int(self.shift / known.resolution)
        return y if along is None or not step else _moved_back(y, step, along, shape[along])


def _moved(X: Tensor, shift: int, positions: int) -> Tensor:
    """Return a tensor moved along its last dimension; zeros enter."""
    if abs(shift) >= positions:
        raise InputError(f"shift is {shift} and the sequence has {positions} positions: expected a smaller shift.")
    if shift > 0:
        return F.pad(X[..., : positions - shift], (shift, 0))
    return F.pad(X[..., -shift:], (0, -shift))


def _moved_back(y: Tensor, step: int, dim: int, size: int) -> Tensor:
    """Return an output moved to the left by `step`; at the edge it is what the model says of the nearest position."""
    index = [min(max(i + step, 0), size - 1) for i in range(size)]
    return y.index_select(dim, torch.tensor(index, device=y.device))


def members_of(
    models: Sequence[nn.Module], reverse: Sequence[bool], shifts: Sequence[int], geometry: Geometry
) -> list[EnsembleMember]:
    """Return all members, folds first, then strands, then shifts."""
    return [
        EnsembleMember(model, fold, one, shift, geometry)
        for fold, model in enumerate(models)
        for one in reverse
        for shift in shifts
    ]
