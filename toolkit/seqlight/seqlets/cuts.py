"""Sequences and contributions at the seqlets, cut out as tensors."""

from __future__ import annotations

from typing import Any, Generic, Literal, NamedTuple, TypeVar, overload

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError
from seqlight.metrics.overlap import require_intervals
from seqlight.seqlets.window_placement import Beyond, place_windows
from seqlight.sequence.checks import as_tensor, require_rank_3

Lengths = Literal["equal", "pad", "list"]
T = TypeVar("T", Tensor, list[Tensor])


class SeqletCuts(NamedTuple, Generic[T]):
    """What was cut out at each seqlet.

    Attributes
    ----------
    seqlets : pandas.DataFrame
        The table, with the start and end of the windows that were cut.
    one_hot : torch.Tensor of shape (rows, letters, width), or list of tensors of shape (letters, width)
        The sequences.
    contributions, hypothetical : like `one_hot`, or None
        What the observed characters contribute, and what every character would; None if no hypothetical
        contributions were given.
    """

    seqlets: pd.DataFrame
    one_hot: T
    contributions: T | None
    hypothetical: T | None


@overload
def cut_seqlets(
    X: Tensor | NDArray[Any],
    seqlets: pd.DataFrame,
    hypothetical: Tensor | NDArray[Any] | None = ...,
    *,
    width: int | None = ...,
    beyond: Beyond = ...,
    lengths: Literal["equal", "pad"] = ...,
    orient_by: str | None = ...,
) -> SeqletCuts[Tensor]: ...


@overload
def cut_seqlets(
    X: Tensor | NDArray[Any],
    seqlets: pd.DataFrame,
    hypothetical: Tensor | NDArray[Any] | None = ...,
    *,
    width: int | None = ...,
    beyond: Beyond = ...,
    lengths: Literal["list"],
    orient_by: str | None = ...,
) -> SeqletCuts[list[Tensor]]: ...


def cut_seqlets(
    X: Tensor | NDArray[Any],
    seqlets: pd.DataFrame,
    hypothetical: Tensor | NDArray[Any] | None = None,
    *,
    width: int | None = None,
    beyond: Beyond = "error",
    lengths: Lengths = "equal",
    orient_by: str | None = None,
) -> SeqletCuts[Tensor] | SeqletCuts[list[Tensor]]:
    """Cut seqlets out of sequences and their hypothetical contributions.

    Parameters
    ----------
    X : torch.Tensor or numpy.ndarray, shape (examples, letters, positions)
        One-hot; with `orient_by`, of the letters A, C, G, T in this order.
    seqlets : pandas.DataFrame
        Columns example_idx, start and end, from either caller or of any intervals.
    hypothetical : torch.Tensor or numpy.ndarray, shape of `X`, optional
        What every character would contribute: ``deep_lift_shap(..., hypothetical=True)``.
    width : int, optional
        Cut this many positions around the middle of each seqlet instead of the seqlet itself.
    beyond : {"error", "zeros", "shift", "drop"}
        What to do if a window extends beyond its example: raise, pad with zeros, move it inside, or leave it out.
    lengths : {"equal", "pad", "list"}
        What to do if seqlets differ in length: raise, pad with zeros on the right, or return lists with one tensor
        for each seqlet (even if they do not differ).
    orient_by : str, optional
        A column of "+" and "-"; what is cut at "-" is reverse-complemented. With ``"motif_strand"`` of
        `annotate_seqlets` all sites of a motif have the same orientation; with ``"strand"`` of `to_genome` all read
        like the + strand of the genome. Without it, all stay as the model read them, whatever the sign of their
        attribution.

    Returns
    -------
    SeqletCuts
        With the fields `seqlets`, `one_hot`, `contributions` and `hypothetical`, on the devices and in the types of
        the inputs.

    Raises
    ------
    InputError
        If windows extend beyond examples or differ in length and no option says what to do, the shapes of `X` and
        `hypothetical` differ, or the table cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight import characters, one_hot_encode
    >>> X = one_hot_encode(["AATGACTCATT"])
    >>> seqlets = pd.DataFrame({"example_idx": [0], "start": [2], "end": [9]})
    >>> characters(cut_seqlets(X, seqlets).one_hot[0])
    'TGACTCA'
    """
    X = require_rank_3(as_tensor(X, "X"))
    table = place_windows(seqlets, X.shape[2], width, beyond)
    windows = _Windows(table, len(X), lengths, orient_by)
    one_hot = windows.cut(X)
    if hypothetical is None:
        return _to_cuts(table, one_hot, None, windows, lengths)
    hypothetical = as_tensor(hypothetical, "hypothetical")
    if hypothetical.shape != X.shape:
        raise InputError(
            f"hypothetical has shape {tuple(hypothetical.shape)} and X {tuple(X.shape)}: expected the same."
        )
    return _to_cuts(table, one_hot, windows.cut(hypothetical), windows, lengths)


class _Windows:
    """The positions of all windows, shape (windows, longest width), in the order in which they are read."""

    def __init__(self, table: pd.DataFrame, n: int, lengths: Lengths, orient_by: str | None) -> None:
        if lengths not in ("equal", "pad", "list"):
            raise InputError(f"lengths is {lengths!r}: expected equal, pad or list.")
        self.example, start, end = require_intervals(table, "seqlets", n=n).T
        self.widths = end - start
        if lengths == "equal" and len(set(self.widths.tolist())) > 1:
            raise InputError(
                f"seqlets have {self.widths.min()} to {self.widths.max()} positions: choose a `width` for all, "
                "lengths='pad' or lengths='list'."
            )
        self.reverse = _on_reverse_strand(table, orient_by)
        steps = np.arange(self.widths.max(initial=0))
        self.positions = np.where(self.reverse[:, None], end[:, None] - 1 - steps, start[:, None] + steps)
        self.inside = steps < self.widths[:, None]

    def cut(self, values: Tensor) -> Tensor:
        """Return the windows of `values`, shape (examples, letters, positions), padded with zeros."""
        length, device = values.shape[2], values.device
        known = self.inside & (self.positions >= 0) & (self.positions < length)
        positions = torch.from_numpy(self.positions.clip(0, length - 1)).to(device)
        rows = torch.from_numpy(self.example).to(device)
        # Two index tensors around a slice put the letters last: (windows, positions, letters).
        cut = values[rows[:, None], :, positions].transpose(1, 2)
        cut = cut.masked_fill(~torch.from_numpy(known).to(device)[:, None, :], 0)
        return torch.where(torch.from_numpy(self.reverse).to(device)[:, None, None], cut.flip(1), cut)

    def trim(self, stack: Tensor) -> list[Tensor]:
        """Return the rows of a stack, each trimmed to the width of its window."""
        return [one[:, :width] for one, width in zip(stack, self.widths.tolist(), strict=True)]


def _on_reverse_strand(table: pd.DataFrame, orient_by: str | None) -> NDArray[np.bool_]:
    if orient_by is None:
        return np.zeros(len(table), dtype=bool)
    if orient_by not in table:
        raise InputError(f"seqlets has no column {orient_by!r}: expected one of '+' and '-' to orient by.")
    strand = table[orient_by].to_numpy(dtype=object)
    if not np.isin(strand, ("+", "-")).all():
        raise InputError(f"seqlets has other entries than '+' and '-' in {orient_by}: repair or drop those rows.")
    return np.asarray(strand == "-", dtype=bool)


def _to_cuts(
    table: pd.DataFrame, one_hot: Tensor, hypothetical: Tensor | None, windows: _Windows, lengths: Lengths
) -> SeqletCuts[Tensor] | SeqletCuts[list[Tensor]]:
    contributions = None if hypothetical is None else one_hot * hypothetical
    if lengths != "list":
        return SeqletCuts(table, one_hot, contributions, hypothetical)
    listed = [None if one is None else windows.trim(one) for one in (contributions, hypothetical)]
    return SeqletCuts(table, windows.trim(one_hot), *listed)
