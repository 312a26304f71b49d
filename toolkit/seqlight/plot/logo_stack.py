"""Logos of one sequence beneath each other on one scale: by target, by epoch, by method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from seqlight.attribution.explanation import Explanation
from seqlight.errors import InputError
from seqlight.plot.checks import Floats, as_numbers, logo_values, size_in_inches, window, y_limits
from seqlight.plot.logo import plot_logo
from seqlight.plot.text import AS_IT_IS

WIDTH = 10.0
LOGO_HEIGHT = 1.15
BELOW = 0.6
# Inches around everything.
PADS = {"w_pad": 0.08, "h_pad": 0.05}
TITLE_SIZE = 9
TICK_SIZE = 8


class EpochRecord(Protocol):
    """What a callback keeps of an epoch: for instance ``seqlight_callbacks.AttributionRecord``."""

    @property
    def epoch(self) -> int:
        """How many epochs the model was trained."""

    @property
    def attributions(self) -> Tensor:
        """Shape (sequences, letters, positions)."""


Stack: TypeAlias = Tensor | NDArray[Any] | Explanation | Sequence[EpochRecord] | Sequence[Tensor]


def plot_logos(
    attributions: Stack,
    labels: Sequence[str] | None = None,
    *,
    example_idx: int | Sequence[int] | None = None,
    start: int | None = None,
    end: int | None = None,
    annotations: pd.DataFrame | None = None,
    ylim: float | tuple[float, float] | None = None,
    alphabet: Sequence[str] = ("A", "C", "G", "T"),
    figsize: tuple[float, float] | None = None,
    **options: Any,
) -> Figure:
    """Draw logos beneath each other, on one scale, so that their heights can be compared.

    Parameters
    ----------
    attributions : torch.Tensor or numpy.ndarray, Explanation, or a sequence
        What to draw, from the top: a tensor of shape (logos, letters, positions) or as many of shape
        (letters, positions); an :class:`seqlight.Explanation`, whose targets are drawn (of one target: whose
        sequences); or the records that an ``AttributionCallback`` left, a logo for each epoch.
    labels : sequence of str, optional
        One for each logo; by default which target, sequence or epoch it is.
    example_idx : int or sequence of int, optional
        Which sequence, where there are several; of `annotations` too. Several: a logo for each of these sequences
        of a tensor or of an Explanation of one target.
    start, end : int, optional
        Draw the positions ``start <= position < end`` only.
    annotations : pandas.DataFrame, optional
        As in :func:`seqlight.plot_logo`, drawn beneath the last logo, or beneath each of several sequences.
    ylim : float or tuple of float, optional
        Limits of all y axes; by default everything fits.
    alphabet : sequence of str, optional
        The letters.
    figsize : tuple of float, optional
        Width and height in inches.
    **options
        Passed on to :func:`seqlight.plot_logo`.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot; ``figure.axes`` has the logos from the top.

    Raises
    ------
    InputError
        If shapes or numbers do not fit together, or several sequences are given and none is chosen.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from seqlight.plot.logo_stack import plot_logos
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3))
    >>> found = sl.attribute(model, sl.random_one_hot((2, 4, 20)), target=[0, 2], random_state=0)
    >>> figure = plot_logos(found, ["DNase", "CTCF"], example_idx=1)
    >>> [ax.get_title("left") for ax in figure.axes]
    ['DNase', 'CTCF']
    """
    owners: dict[int, int | None]  # of each logo with annotations, which sequence it is
    if isinstance(example_idx, Sequence):
        logos, names = _chosen(attributions, example_idx)
        owners = dict(enumerate(example_idx))
    else:
        logos, names = _logos(attributions, example_idx)
        owners = {len(logos) - 1: example_idx}
    names = names if labels is None else [str(one) for one in labels]
    if isinstance(labels, str) or len(names) != len(logos):
        given = "one string, and no list," if isinstance(labels, str) else f"{len(names)} entries"
        raise InputError(f"`labels` has {given} for {len(logos)} logos: give one for each.")
    values = [logo_values(logo, alphabet, f"attributions[{i}]") for i, logo in enumerate(logos)]
    lengths = {one.shape[1] for one in values}
    if len(lengths) != 1:
        raise InputError(f"the logos have {sorted(lengths)} positions, but must have as many: cut them alike.")
    first, last = window(start, end, lengths.pop())
    shared = y_limits(np.stack(values)[..., first:last], ylim)
    figure = Figure(size_in_inches(figsize, (WIDTH, LOGO_HEIGHT * len(values) + BELOW)))
    figure.set_layout_engine("constrained", **PADS)
    axes = figure.subplots(len(values), sharex=True, sharey=True, squeeze=False)[:, 0]
    # Before anything is drawn: labels that come later would change how wide the axes are.
    figure.supylabel("attribution", fontsize=TITLE_SIZE)
    for i, (ax, value, name) in enumerate(zip(axes, values, names, strict=True)):
        ax.set_title(name, loc="left", fontsize=TITLE_SIZE, pad=3, **AS_IT_IS)
        ax.tick_params(labelsize=TICK_SIZE)
        table = annotations if i in owners else None
        plot_logo(
            value,
            ax,
            start=first,
            end=last,
            annotations=table,
            example_idx=_example_in(table, owners.get(i)),
            ylim=shared,
            alphabet=alphabet,
            **options,
        )
        ax.set_ylabel("")
        if ax is not axes[-1]:
            ax.spines["bottom"].set_visible(False)
            ax.tick_params(axis="x", length=0)
    axes[-1].xaxis.label.set_fontsize(TITLE_SIZE)
    return figure


def _example_in(table: pd.DataFrame | None, example_idx: int | None) -> int | None:
    has_examples = isinstance(table, pd.DataFrame) and "example_idx" in table.columns
    return example_idx if has_examples else None


def _chosen(given: Stack, examples: Sequence[int]) -> tuple[list[Floats], list[str]]:
    """Return the logos of some sequences, and what they are called."""
    values = as_numbers(given.attributions if isinstance(given, Explanation) else given, "attributions")
    if values.ndim != 3:
        raise InputError(
            f"`attributions` has shape {values.shape}, but several `example_idx` choose from (sequences, letters, "
            "positions): pick one target or epoch."
        )
    if not examples:
        raise InputError("`example_idx` is empty, but at least one sequence is needed.")
    return [_one(values, i) for i in examples], [f"sequence {i}" for i in examples]


def _logos(given: Stack, example_idx: int | None) -> tuple[list[Floats], list[str]]:
    """Return what to draw, from the top, and what it is called."""
    if isinstance(given, Explanation):
        return _of_explanation(given, example_idx)
    if isinstance(given, torch.Tensor | np.ndarray):
        logos = as_numbers(given, "attributions")
        if logos.ndim != 3 or not len(logos):
            raise InputError(
                f"`attributions` has shape {logos.shape}, but (logos, letters, positions) is needed: pick one "
                "sequence, or stack what is to be drawn."
            )
        return list(logos), [f"{i}" for i in range(len(logos))]
    items: list[Any] = list(given) if isinstance(given, Sequence) else []
    if not items:
        raise InputError(
            f"`attributions` is {'empty' if isinstance(given, Sequence) else f'of type {type(given).__name__}'}, but "
            "a tensor, an Explanation or a list of records is needed."
        )
    if all(hasattr(one, "epoch") and hasattr(one, "attributions") for one in items):
        shown = [_one(as_numbers(one.attributions, "attributions"), example_idx) for one in items]
        return shown, [f"epoch {one.epoch}" if one.epoch else "untrained" for one in items]
    return [as_numbers(one, "attributions") for one in items], [f"{i}" for i in range(len(items))]


def _of_explanation(given: Explanation, example_idx: int | None) -> tuple[list[Floats], list[str]]:
    values = as_numbers(given.attributions, "attributions")
    if values.ndim == 4:
        logos = _one(values, example_idx)
        return list(logos), [f"target {i}" for i in range(len(logos))]
    if example_idx is None:
        return list(values), [f"sequence {i}" for i in range(len(values))]
    return [_one(values, example_idx)], [f"sequence {example_idx}"]


def _one(values: Floats, example_idx: int | None) -> Floats:
    """Return what belongs to one sequence."""
    if example_idx is None:
        if len(values) != 1:
            raise InputError(f"there are {len(values)} sequences, but a stack shows one: choose it with `example_idx`.")
        return np.asarray(values[0])
    if not 0 <= example_idx < len(values):
        raise InputError(f"`example_idx` is {example_idx}, but there are {len(values)} sequences, counted from 0.")
    return np.asarray(values[example_idx])
