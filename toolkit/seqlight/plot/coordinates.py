"""Genome coordinates on an axis that counts positions of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.plot.text import AS_IT_IS
from seqlight.sequence.loci import Loci, as_loci

Place: TypeAlias = tuple[str, int, int] | tuple[str, int, int, str] | Loci | pd.DataFrame


@dataclass(frozen=True)
class Locus:
    """Where in a genome a sequence was cut out, ``start <= coordinate < end``, counted from 0 as in BED.

    Attributes
    ----------
    chrom : str
        The chromosome.
    start, end : int
        The window.
    reverse : bool
        Whether the sequence is the reverse complement.

    Examples
    --------
    >>> from seqlight.plot.coordinates import Locus
    >>> Locus("chr8", 1000, 1100).at(10), Locus("chr8", 1000, 1100, reverse=True).at(10)
    (1010, 1090)
    """

    chrom: str
    start: int
    end: int
    reverse: bool = False

    def at(self, position: Any) -> Any:
        """Return the coordinate of the edge in front of a position."""
        return self.end - position if self.reverse else self.start + position

    def base(self, position: int) -> int:
        """Return the coordinate of the base at a position, which on the reverse strand is in front of the edge."""
        return int(self.at(position)) - self.reverse

    @property
    def axis_name(self) -> str:
        """What to call an axis that counts along it."""
        return f"position on {self.chrom}" + (", reverse strand" if self.reverse else "")


def as_locus(source: Place | None, length: int, example_idx: int | None = None) -> Locus | None:
    """Return the one locus of a picture.

    Parameters
    ----------
    source : tuple of chromosome, start, end and maybe strand; Loci or table of the columns chrom, start, end; or None
        Where the sequence, or all of several sequences, were cut out.
    length : int
        Positions of the sequence.
    example_idx : int, optional
        Which of several.

    Raises
    ------
    InputError
        If it is none, there are several and none is chosen, or it has not as many positions.
    """
    if source is None:
        return None
    loci = as_loci(source if isinstance(source, Loci | pd.DataFrame) else _table(source))
    n = len(loci.chrom)
    row = 0 if n == 1 else example_idx
    if row is None or not 0 <= row < n:
        raise InputError(f"`locus` holds {n} places and `example_idx` is {row}: choose one of them, counted from 0.")
    locus = Locus(str(loci.chrom[row]), int(loci.start[row]), int(loci.end[row]), bool(loci.strand[row] == "-"))
    if locus.end - locus.start != length:
        raise InputError(
            f"`locus` has {locus.end - locus.start} positions and the sequence {length}: give the window that the "
            "sequence was cut from."
        )
    return locus


def _table(source: Any) -> pd.DataFrame:
    if not isinstance(source, tuple) or len(source) not in (3, 4):
        raise InputError(f"`locus` is {source!r}, but (chrom, start, end) or (chrom, start, end, strand) is needed.")
    return pd.DataFrame([source], columns=["chrom", "start", "end", "strand"][: len(source)])


class CoordinateLocator(MaxNLocator):
    """Puts ticks where coordinates are round, wherever the sequence begins."""

    def __init__(self, locus: Locus) -> None:
        super().__init__(nbins=8, steps=[1, 2, 5, 10], integer=True)
        self.locus = locus

    # Matplotlib's stubs promise a sequence, and its locators return arrays.
    def tick_values(self, vmin: float, vmax: float) -> NDArray[np.float64]:  # type: ignore[override]
        """Return the positions of round coordinates."""
        low, high = sorted((self.locus.at(vmin), self.locus.at(vmax)))
        ticks = np.asarray(super().tick_values(low, high))
        return np.sort(self.locus.end - ticks if self.locus.reverse else ticks - self.locus.start)


def show_coordinates(ax: Axes, locus: Locus) -> None:
    """Let the x axis of a logo count along the genome."""
    ax.xaxis.set_major_locator(CoordinateLocator(locus))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{locus.at(x):,.0f}"))
    ax.set_xlabel(locus.axis_name, **AS_IT_IS)
