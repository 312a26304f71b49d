"""What a model returns for windows of a genome: values along them, of which the middle is cut out, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.targets.heads import Head, select_head

Along = int | Literal["none"] | None


def require_along(positions: Any) -> Along:
    """Return a dimension of outputs, "none" or None; raise InputError if it is neither."""
    if positions is None or positions == "none" or (type(positions) is int and positions in (1, 2)):
        along: Along = positions
        return along
    raise InputError(
        f"positions is {positions!r}: expected 1 or 2, the dimension of the output that runs along the window, or "
        "'none' for numbers of each window."
    )


def cut_output(output: Any, window: int, tile: int, positions: Along = None) -> Tensor:
    """Return what a model says of the middles of windows.

    Values along a window are taken to lie in the middle of it, and are cut to the tile.

    Parameters
    ----------
    output : torch.Tensor, shape (rows,), (rows, numbers), (rows, positions), (rows, tracks, positions) or the latter \
turned
        What the model returned.
    window, tile : int
        Positions of a window, and of its middle.
    positions : {1, 2, "none"}, optional
        The dimension that runs along the window, or "none". It can be left out where the shape says it: one number a
        window, fewer numbers than a tile has positions, or three dimensions of which the last alone is as long as a
        tile or longer.

    Returns
    -------
    torch.Tensor, shape (rows, tile), (rows, tracks, tile), (rows, 1) or (rows, numbers, 1)
        Without the dimension of tracks, or numbers, if there is one.

    Raises
    ------
    InputError
        If the shape can be read in two ways and `positions` is None, or it does not fit.

    Examples
    --------
    >>> import torch
    >>> cut_output(torch.arange(6.0)[None], window=10, tile=2, positions=1)
    tensor([[2., 3.]])
    >>> cut_output(torch.arange(6.0)[None], window=10, tile=2, positions="none").shape
    torch.Size([1, 6, 1])
    """
    if not isinstance(output, Tensor):
        raise InputError(
            f"the model returns {kind_of(output)}: expected a tensor; choose one with `func` of PredictModule, or "
            "--head on the command line."
        )
    along = _dimension_along_windows(output.shape, window, tile) if positions is None else positions
    if along == "none":
        return _numbers(output).unsqueeze(-1)
    if output.ndim not in (2, 3) or along >= output.ndim or not tile <= output.shape[along] <= window:
        raise _misfit(output.shape, window, tile, positions)
    found = output.movedim(along, -1)
    if found.ndim == 3 and found.shape[1] == 1:
        found = found.squeeze(1)  # a single track
    # Where the tile and the output begin in the window.
    left = (window - tile) // 2 - (window - found.shape[-1]) // 2
    return found[..., left : left + tile]


def select_track(output: Any, index: int, window: int, tile: int, positions: Along = None, head: Head = None) -> Tensor:
    """Return one track of a model's output, or one of its numbers, without the others.

    Parameters
    ----------
    output : anything
        What the model returned.
    index : int
        The track.
    window, tile, positions
        As in :func:`cut_output`. An output of two dimensions has numbers, as tracks of positions have three.
    head : int, str, tuple of these, optional
        Which of several outputs, as in :mod:`seqlight.targets`.

    Raises
    ------
    InputError
        If there is no such track, or the shape can be read in two ways.

    Examples
    --------
    >>> import torch
    >>> select_track({"profile": torch.zeros(3, 2, 50)}, 1, window=60, tile=20, head="profile").shape
    torch.Size([3, 1, 50])
    """
    found = select_head(output, head)
    along = _dimension_along_windows(found.shape, window, tile) if positions is None and found.ndim == 3 else positions
    dim = 2 if along == 1 or (along == "none" and found.ndim == 3 and found.shape[1] == 1) else 1
    if found.ndim not in (2, 3) or dim >= found.ndim or not -found.shape[dim] <= index < found.shape[dim]:
        raise InputError(
            f"track {index} is asked for, and the output has shape {tuple(found.shape)}: expected one of a dimension "
            "of tracks beside that of positions, counted from 0."
        )
    return found.narrow(dim, index % found.shape[dim], 1)


def _numbers(output: Tensor) -> Tensor:
    """Return numbers for each window, of shape (rows,) or (rows, numbers), without dimensions of one."""
    if not output.ndim or sum(size > 1 for size in output.shape[1:]) > 1:
        raise InputError(
            f"the model's output has shape {tuple(output.shape)}, and positions is 'none': expected a number for each "
            "window, or (rows, numbers)."
        )
    found = output.flatten(1) if output.ndim > 1 else output
    return found.squeeze(1) if found.ndim > 1 and found.shape[1] == 1 else found


def _dimension_along_windows(shape: Sequence[int], window: int, tile: int) -> int | Literal["none"]:
    """Return the dimension that runs along windows, or "none"; InputError if the shape can be read in two ways."""
    long = [dim for dim in range(1, len(shape)) if tile <= shape[dim] <= window]
    if len(shape) == 1 or (len(shape) < 4 and all(size == 1 for size in shape[1:])):
        return "none"
    if len(shape) == 2 and long:
        raise _ambiguous(shape, f"{shape[1]} positions along each window, or {shape[1]} numbers for it", "1 or 'none'")
    if len(shape) == 2 and shape[1] < tile:
        return "none"
    if len(shape) == 3 and long == [1, 2]:
        raise _ambiguous(shape, f"{shape[1]} or {shape[2]} positions along each window", "1 or 2")
    if len(shape) == 3 and long == [1]:
        of_bins = f"{shape[1]} tracks of {shape[2]} bins, which are too few for a tile of {tile}"
        raise _ambiguous(shape, f"{shape[1]} positions along each window, or {of_bins}", "1 for the former")
    if len(shape) == 3 and not long and 1 in shape[1:] and max(shape[1:]) < tile:
        n = max(shape[1:])
        raise _ambiguous(shape, f"{n} numbers for each window, or a track of {n} bins, which are too few", "'none'")
    if len(shape) == 3 and long:
        return 2
    raise _misfit(shape, window, tile, None)


def _ambiguous(shape: Sequence[int], readings: str, choices: str) -> InputError:
    return InputError(
        f"the model's output has shape {tuple(shape)}, which can be {readings}: say which with positions={choices} "
        "(--positions on the command line)."
    )


def _misfit(shape: Sequence[int], window: int, tile: int, positions: Along) -> InputError:
    said = "" if positions is None else f" and positions is {positions}"
    return InputError(
        f"the model's output has shape {tuple(shape)}{said}: expected a number for each window, or (rows, positions) "
        f"or (rows, tracks, positions) with {tile} to {window} positions, as tile and window say; or "
        "positions='none' for many numbers."
    )
