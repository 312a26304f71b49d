"""An ensemble of models, strands and shifts, which is one model."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from seqlight.errors import InputError, kind_of
from seqlight.prediction.ensemble_member import EnsembleMember, Geometry, Positions, members_of
from seqlight.prediction.outputs import flatten_structure, map_structure

Strands = Literal["forward", "reverse", "both"]


class Ensemble(nn.Module):
    r"""The mean of several models, over both strands and a few shifts, as one model.

    Its output is the mean over its members: each model, on each strand, with each shift. It is explained like any other
    model, and :func:`seqlight.attribute` and :class:`seqlight.lit.DeepLiftShapModule` explain the members one after
    another: attributions are the mean of the members', and come with their spread between folds, strands and shifts.
    What all methods of attribution explain is the mean over members of the target: for a target that is linear in the
    output, such as a column, that is the target of the mean output.

    The rules for members that read a sequence otherwise than it was given:

    - The reverse strand is the reverse complement. Outputs come back in the order of the given sequence: reversed along
      `positions` and along `strand_channels`. An output of up to two dimensions, (rows, tasks), stays as it is.
    - A shift of s moves the sequence to the right by s positions before that. What leaves is not seen by this member,
      and has attributions of 0 from it; columns of zeros enter, as for unknown characters, since what lies next to the
      sequence is not known. Attributions still sum to the difference of outputs. Outputs are moved back along
      `positions` by s / `resolution`, rounded towards 0; the positions that come free at the edge repeat the last one.

    Parameters
    ----------
    models : torch.nn.Module or sequence of them
        Such as the folds of a cross-validation, or one architecture with several checkpoints.
    strands : "forward", "reverse" or "both"
        The strands that are read.
    shifts : sequence of int
        The shifts; 0 is the sequence as it is.
    positions : int or "none", optional
        The dimension of outputs that runs along the sequence, such as 2. It has to be given for outputs of more than
        two dimensions, if a strand or a shift concerns them; "none" says that they have no such dimension.
    strand_channels : int, optional
        The dimension of outputs with a channel for each strand, such as 1. Both are for every tensor of the output that
        has this dimension.
    resolution : int
        The positions of the sequence for each of the output.
    tracks : sequence of int, optional
        Which of the further inputs are tracks along the sequence, (rows, strands, positions): they are shifted, and
        reversed in all dimensions but the first.
    complement : sequence of int
        The partner of each letter, for an alphabet other than ACGT.

    Raises
    ------
    InputError
        If an argument cannot be used; when it is called, if outputs differ in shape between members, or the alphabet
        has no complement.

    Examples
    --------
    >>> import seqlight as sl
    >>> folds = [nn.Sequential(nn.Flatten(), nn.Linear(80, 2)) for _ in range(3)]
    >>> found = sl.attribute(sl.Ensemble(folds, strands="both"), sl.random_one_hot((2, 4, 20)), random_state=0)
    >>> found.attributions.shape, found.spread_over_folds.shape, found.spread_over_shifts is None
    (torch.Size([2, 4, 20]), torch.Size([2, 4, 20]), True)
    """

    def __init__(
        self,
        models: nn.Module | Sequence[nn.Module],
        strands: Strands = "forward",
        shifts: Sequence[int] = (0,),
        *,
        positions: Positions = None,
        strand_channels: int | None = None,
        resolution: int = 1,
        tracks: Sequence[int] | None = None,
        complement: Sequence[int] = (3, 2, 1, 0),
    ) -> None:
        super().__init__()
        self.models = nn.ModuleList(_require_models(models))
        if strands not in get_args(Strands):
            raise InputError(f"strands is {strands!r}: expected one of 'forward', 'reverse' and 'both'.")
        self.strands = strands
        self.shifts = _require_shifts(shifts)
        partners = tuple(complement)
        if sorted(partners) != list(range(len(partners))) or any(partners[one] != i for i, one in enumerate(partners)):
            raise InputError(f"complement is {partners}: expected the partner of each letter, whose partner it is.")
        for name, dim in (("positions", positions), ("strand_channels", strand_channels)):
            if not (dim is None or (name == "positions" and dim == "none") or (type(dim) is int and dim > 0)):
                raise InputError(f"{name} is {dim!r}: expected a dimension of the output, from 1 on.")
        if type(resolution) is not int or resolution < 1:
            raise InputError(f"resolution is {resolution!r}: expected a number of positions, 1 or more.")
        along = None if tracks is None else tuple(tracks)
        self.geometry = Geometry(partners, positions, strand_channels, resolution, along)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The number of folds, strands and shifts."""
        return len(self.models), len(self._reverse), len(self.shifts)

    def members(self) -> list[EnsembleMember]:
        """Return the members, as models of their own: folds first, then strands, then shifts."""
        return members_of(list(self.models), self._reverse, self.shifts, self.geometry)

    def __len__(self) -> int:
        return math.prod(self.shape)

    def forward(self, X: Tensor, *args: Any) -> Any:
        """Return the mean output of the members, which run one after another."""
        members = self.members()
        total = members[0](*copy_inputs(X, *args))
        first = _shapes_of(total)
        for one in members[1:]:
            output = one(*copy_inputs(X, *args))
            if _shapes_of(output) != first:
                raise InputError(
                    f"{one.label} returns {_describe(_shapes_of(output))} and {members[0].label} {_describe(first)}: "
                    "expected members with outputs of one shape."
                )
            total = map_structure(operator.add, total, output)
        return map_structure(lambda y: y / len(members), total) if len(members) > 1 else total

    def extra_repr(self) -> str:
        """Return what the representation says beside the models."""
        return f"strands={self.strands!r}, shifts={self.shifts}"

    @property
    def _reverse(self) -> tuple[bool, ...]:
        return {"forward": (False,), "reverse": (True,), "both": (False, True)}[self.strands]


def copy_inputs(*inputs: Any) -> list[Any]:
    """Return copies of tensors: a member may write to its inputs."""
    return [one.clone() if isinstance(one, Tensor) else one for one in inputs]


def _require_models(models: Any) -> list[nn.Module]:
    listed = [models] if isinstance(models, nn.Module) and not isinstance(models, nn.ModuleList) else models
    if isinstance(listed, str) or not isinstance(listed, Sequence | nn.ModuleList):
        raise InputError(f"models is {kind_of(models)}: expected torch.nn.Modules in a list.")
    if not len(listed):
        raise InputError("models is empty: expected at least one torch.nn.Module.")
    wrong = next((one for one in listed if not isinstance(one, nn.Module)), None)
    if wrong is not None or not all(isinstance(one, nn.Module) for one in listed):
        raise InputError(f"models hold {kind_of(wrong)}: expected torch.nn.Modules.")
    return list(listed)


def _require_shifts(shifts: Any) -> tuple[int, ...]:
    try:
        found = tuple(operator.index(one) for one in shifts)
    except TypeError:
        raise InputError(f"shifts is {shifts!r}: expected whole numbers, such as (-3, 0, 3).") from None
    if not found or len(set(found)) < len(found):
        raise InputError(f"shifts is {found}: expected at least one, and each once.")
    return found


def _shapes_of(output: Any) -> list[tuple[int, ...]]:
    with torch._C.DisableTorchFunction():
        return [tuple(one.shape) for one in flatten_structure(output)]


def _describe(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(f"shape {shape}" for shape in shapes) or "nothing"
