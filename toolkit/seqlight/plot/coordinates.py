"""Genome coordinates on an axis that counts positions of a sequence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.plot.text import LITERAL_TEXT
from seqlight.sequence.loci import Loci, as_loci

LocusLike: TypeAlias = str | tuple[str, int, int] | tuple[str, int, int, str] | Loci | pd.DataFrame
# A name may contain colons, as HLA:HLA00001 does.
_TEXT = re.compile(r"(?P<chrom>\S+):(?P<start>\d[\d,]*)-(?P<end>\d[\d,]*)(\((?P<strand>[+.-])\))?")


@dataclass(frozen=True)
class Locus:
    """The place in a genome from which a sequence was cut, ``start <= coordinate < end``, counted from 0 as in BED.

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
    >>> Locus("chr8", 1000, 1100).coordinate(10), Locus("chr8", 1000, 1100, reverse=True).coordinate(10)
    (1010, 1090)
    """

    chrom: str
    start: int
    end: int
    reverse: bool = False

    def coordinate(self, position: Any) -> Any:
        """Return the coordinate of the edge to the left of a position."""
        return self.end - position if self.reverse else self.start + position

    def base_coordinate(self, position: int) -> int:
        """Return the coordinate of the base at a position: on the reverse strand it lies before that edge."""
        return int(self.coordinate(position)) - self.reverse

    def locator(self) -> RoundLocator:
        """Return ticks at round coordinates, for an axis that counts positions."""
        return RoundLocator(self.end if self.reverse else -self.start, self.reverse, nbins=8)

    @property
    def axis_label(self) -> str:
        """The label of an axis that counts along this locus."""
        return f"position on {self.chrom}" + (", reverse strand" if self.reverse else "")


def as_locus(source: LocusLike | None, length: int, example_idx: int | None = None) -> Locus | None:
    """Return the locus of the one sequence that is drawn.

    Parameters
    ----------
    source : tuple of chromosome, start, end and maybe strand; str; Loci or table of chrom, start, end; or None
        Where the sequence, or each of several sequences, was cut from the genome. A text such as "chr1:2,850-3,150"
        counts from 0 with the end excluded, or from 1 with the end included, whichever has `length` positions.
    length : int
        The number of positions of the sequence.
    example_idx : int, optional
        Which of several loci.

    Raises
    ------
    InputError
        If it is no locus, if there are several and none is chosen, or if its length is not `length`.
    """
    if source is None:
        return None
    if isinstance(source, str):
        source = _parse(source, length)
    loci = as_loci(source if isinstance(source, Loci | pd.DataFrame) else _as_table(source))
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


def _parse(text: str, length: int) -> tuple[str, int, int, str]:
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise InputError(f"`locus` is {text!r}, but one like 'chr1:2,850-3,150' is needed, or (chrom, start, end).")
    start, end = (int(found[name].replace(",", "")) for name in ("start", "end"))
    from_1 = start > 0 and end - start + 1 == length  # as browsers and samtools write it
    return found["chrom"], start - from_1, end, found["strand"] or "+"


def _as_table(source: Any) -> pd.DataFrame:
    if not isinstance(source, tuple) or len(source) not in (3, 4):
        raise InputError(
            f"`locus` is {source!r}, but (chrom, start, end), (chrom, start, end, strand) or a text such as "
            "'chr1:2,850-3,150' is needed."
        )
    return pd.DataFrame([source], columns=["chrom", "start", "end", "strand"][: len(source)])


class RoundLocator(MaxNLocator):
    """Ticks at round numbers on an axis whose numbers are not its positions.

    Parameters
    ----------
    zero : int
        The position of the number 0, which need not lie on the axis.
    reverse : bool
        Whether the numbers fall as positions rise.
    nbins : int
        The greatest number of intervals between ticks.
    """

    def __init__(self, zero: int, reverse: bool = False, nbins: int = 10) -> None:
        super().__init__(nbins=nbins, steps=[1, 2, 5, 10], integer=True)
        self.zero, self.sign = zero, -1 if reverse else 1

    # Matplotlib's stubs promise a sequence, and its locators return arrays.
    def tick_values(self, vmin: float, vmax: float) -> NDArray[np.float64]:  # type: ignore[override]
        """Return the positions of round numbers."""
        low, high = sorted((self.sign * (vmin - self.zero), self.sign * (vmax - self.zero)))
        return np.sort(self.zero + self.sign * np.asarray(super().tick_values(low, high)))


def show_coordinates(ax: Axes, locus: Locus) -> None:
    """Show genome coordinates on the x axis of a logo."""
    ax.xaxis.set_major_locator(locus.locator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{locus.coordinate(x):,.0f}"))
    ax.set_xlabel(locus.axis_label, **LITERAL_TEXT)
