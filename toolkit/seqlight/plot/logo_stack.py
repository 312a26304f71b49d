"""Logos one below the other, on one scale: of several targets, epochs, methods or sequences."""

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
from seqlight.plot.axes import TITLE_SIZE, stack_panels, title_panel
from seqlight.plot.checks import Floats, as_float_array, logo_values, window_bounds, y_limits
from seqlight.plot.logo import plot_logo
from seqlight.plot.text import LITERAL_TEXT

# All in inches.
WIDTH = 10.0
LOGO_HEIGHT = 1.15
BELOW = 0.6
PAD = 0.05


class EpochRecord(Protocol):
    """The record that a callback keeps of an epoch, for instance a ``seqlight_callbacks.AttributionRecord``."""

    @property
    def epoch(self) -> int:
        """The number of epochs for which the model had been trained."""

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
    """Draw logos one below the other, on one scale, so that their heights can be compared.

    Parameters
    ----------
    attributions : torch.Tensor or numpy.ndarray, Explanation, or a sequence
        The logos, from the top: a tensor of shape (logos, letters, positions), or a sequence of tensors of shape
        (letters, positions); an :class:`seqlight.Explanation`, with a logo for each target or, if it has only one
        target, for each sequence; or the records of an ``AttributionCallback``, with a logo for each epoch.
    labels : sequence of str, optional
        A label for each logo; by default its target, sequence or epoch.
    example_idx : int or sequence of int, optional
        The sequence to draw, where there are several, in `annotations` too. If several are given, there is a logo
        for each of these sequences of a tensor or of an Explanation of one target.
    start, end : int, optional
        Draw the positions ``start <= position < end`` only.
    annotations : pandas.DataFrame, optional
        As in :func:`seqlight.plot_logo`, drawn beneath the last logo, or beneath each of several sequences.
    ylim : float or tuple of float, optional
        Limits of all y axes; by default all letters fit.
    alphabet : sequence of str, optional
        The letters.
    figsize : tuple of float, optional
        Width and height in inches.
    **options
        Passed on to :func:`seqlight.plot_logo`.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot; ``figure.axes`` holds the logos, from the top.

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
    annotated: dict[int, int | None]  # the sequence of each logo with annotations
    if isinstance(example_idx, Sequence):
        logos, names = _logos_of_sequences(attributions, example_idx)
        annotated = dict(enumerate(example_idx))
    else:
        logos, names = _logos(attributions, example_idx)
        annotated = {len(logos) - 1: example_idx}
    names = names if labels is None else [str(one) for one in labels]
    if isinstance(labels, str) or len(names) != len(logos):
        given = "one string, not a list," if isinstance(labels, str) else f"{len(names)} entries"
        raise InputError(f"`labels` has {given} for {len(logos)} logos: give one for each.")
    values = [logo_values(logo, alphabet, f"attributions[{i}]") for i, logo in enumerate(logos)]
    lengths = {one.shape[1] for one in values}
    if len(lengths) != 1:
        raise InputError(
            f"the logos have {sorted(lengths)} positions, but all need the same number: cut them to one window."
        )
    first, last = window_bounds(start, end, lengths.pop())
    shared = y_limits(np.stack(values)[..., first:last], ylim)
    default_size = (WIDTH, LOGO_HEIGHT * len(values) + BELOW)
    figure, axes = stack_panels([1] * len(values), figsize, default_size, PAD, sharey=True)
    # Before anything is drawn: a label added later would change the width of the axes.
    figure.supylabel("attribution", fontsize=TITLE_SIZE)
    for i, (ax, value, name) in enumerate(zip(axes, values, names, strict=True)):
        title_panel(ax, name, **LITERAL_TEXT)
        table = annotations if i in annotated else None
        plot_logo(
            value,
            ax,
            start=first,
            end=last,
            annotations=table,
            example_idx=_annotated_example(table, annotated.get(i)),
            ylim=shared,
            alphabet=alphabet,
            **options,
        )
        ax.set_ylabel("")
    axes[-1].xaxis.label.set_fontsize(TITLE_SIZE)
    return figure


def _annotated_example(table: pd.DataFrame | None, example_idx: int | None) -> int | None:
    has_examples = isinstance(table, pd.DataFrame) and "example_idx" in table.columns
    return example_idx if has_examples else None


def _logos_of_sequences(given: Stack, examples: Sequence[int]) -> tuple[list[Floats], list[str]]:
    """Return the logos of these sequences, and their default labels."""
    values = as_float_array(given.attributions if isinstance(given, Explanation) else given, "attributions")
    if values.ndim != 3:
        raise InputError(
            f"`attributions` has shape {values.shape}, but several `example_idx` select from (sequences, letters, "
            "positions): pick one target or epoch."
        )
    if not examples:
        raise InputError("`example_idx` is empty, but at least one sequence is needed.")
    return [_select_sequence(values, i) for i in examples], [f"sequence {i}" for i in examples]


def _logos(given: Stack, example_idx: int | None) -> tuple[list[Floats], list[str]]:
    """Return the logos from the top, and their default labels."""
    if isinstance(given, Explanation):
        return _logos_of_explanation(given, example_idx)
    if isinstance(given, torch.Tensor | np.ndarray):
        logos = as_float_array(given, "attributions")
        if logos.ndim != 3 or not len(logos):
            raise InputError(
                f"`attributions` has shape {logos.shape}, but (logos, letters, positions) is needed: pick one "
                "sequence, or stack the logos."
            )
        return list(logos), [f"{i}" for i in range(len(logos))]
    items: list[Any] = list(given) if isinstance(given, Sequence) else []
    if not items:
        raise InputError(
            f"`attributions` is {'empty' if isinstance(given, Sequence) else f'of type {type(given).__name__}'}, but "
            "a tensor, an Explanation or a list of records is needed."
        )
    if all(hasattr(one, "epoch") and hasattr(one, "attributions") for one in items):
        shown = [_select_sequence(as_float_array(one.attributions, "attributions"), example_idx) for one in items]
        return shown, [f"epoch {one.epoch}" if one.epoch else "untrained" for one in items]
    return [as_float_array(one, "attributions") for one in items], [f"{i}" for i in range(len(items))]


def _logos_of_explanation(given: Explanation, example_idx: int | None) -> tuple[list[Floats], list[str]]:
    values = as_float_array(given.attributions, "attributions")
    if values.ndim == 4:
        logos = _select_sequence(values, example_idx)
        return list(logos), [f"target {i}" for i in range(len(logos))]
    if example_idx is None:
        return list(values), [f"sequence {i}" for i in range(len(values))]
    return [_select_sequence(values, example_idx)], [f"sequence {example_idx}"]


def _select_sequence(values: Floats, example_idx: int | None) -> Floats:
    """Return the values of one sequence."""
    if example_idx is None:
        if len(values) != 1:
            raise InputError(f"there are {len(values)} sequences, but a stack shows one: choose it with `example_idx`.")
        return np.asarray(values[0])
    if not 0 <= example_idx < len(values):
        raise InputError(f"`example_idx` is {example_idx}, but there are {len(values)} sequences, counted from 0.")
    return np.asarray(values[example_idx])
