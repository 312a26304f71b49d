"""Place windows around regions, and decide which regions have none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.datasets.regions import as_regions
from seqlight.errors import InputError
from seqlight.formats.genome import require_chromosomes
from seqlight.sequence.chromosomes import chromosome_names, respelled_names

Ends = Literal["pad", "drop"]


class Windows(NamedTuple):
    """Windows of one length, one for each region.

    Attributes
    ----------
    start : numpy.ndarray, int64
        The start of each window; its end is `length` further on.
    length : int
        The length of all windows.
    """

    start: NDArray[np.int64]
    length: int


def on_chromosomes(regions: pd.DataFrame, chroms: Collection[str] | None, sizes: Mapping[str, int]) -> NDArray[Any]:
    """Return which regions lie on the chromosomes to keep.

    Parameters
    ----------
    regions : pandas.DataFrame
        With a column chrom.
    chroms : collection of str, optional
        The chromosomes to keep; all that the regions have if None.
    sizes : mapping of str to int
        The lengths of the chromosomes of the genome.

    Returns
    -------
    numpy.ndarray of bool, shape (regions,)

    Raises
    ------
    InputError
        If one of `chroms`, or of the regions to keep, is not in the genome.
    """
    wanted = None if chroms is None else chromosome_names(chroms, "chroms")
    if wanted is not None:
        require_chromosomes(wanted, sizes, "the genome")
    keep = np.ones(len(regions), bool) if wanted is None else regions["chrom"].isin(wanted).to_numpy()
    require_chromosomes(pd.unique(regions["chrom"][keep]).tolist(), sizes, "the genome")
    return keep


def centre_windows(regions: pd.DataFrame, window: int | None, at: Literal["summit", "centre"]) -> Windows:
    """Return windows centred on regions.

    Parameters
    ----------
    regions : pandas.DataFrame
        With the columns start and end, and maybe summit.
    window : int, optional
        Positions per window. If None, the regions themselves, which must then have one length.
    at : {"summit", "centre"}
        What is at position ``window // 2``: the summit where there is one, or ``(start + end) // 2``.

    Returns
    -------
    Windows

    Raises
    ------
    InputError
        If the regions have different lengths, and `window` is None.
    """
    start, end = regions["start"].to_numpy(), regions["end"].to_numpy()
    if window is None:
        lengths = np.unique(end - start)
        if len(lengths) > 1:
            raise InputError(
                f"the regions have {lengths[0]} to {lengths[-1]} positions: expected one length; give `window`."
            )
        return Windows(start, int(lengths[0]) if len(lengths) else 0)
    middle = (start + end) // 2
    if at == "summit" and "summit" in regions:
        summit = regions["summit"].to_numpy()
        middle = np.where(summit >= 0, summit, middle)
    return Windows(middle - window // 2, window)


def require_centres(windows: Windows, regions: pd.DataFrame, size: NDArray[np.int64]) -> None:
    """Raise InputError if the middle of a window is off its chromosome, as with regions of another assembly."""
    middle = windows.start + windows.length // 2
    off = (middle < 0) | (middle >= size)
    if off.any():
        row = int(off.argmax())
        chrom, start, end = (regions[name].iloc[row] for name in ("chrom", "start", "end"))
        raise InputError(
            f"region {row}, {chrom}:{start}-{end}, is off its chromosome of {size[row]} positions: "
            "expected regions of the same assembly as the genome."
        )


def inside(windows: Windows, size: NDArray[np.int64], margin: int) -> NDArray[Any]:
    """Return which windows lie on their chromosome even when jitter shifts them by `margin`."""
    return (windows.start - margin >= 0) & (windows.start + windows.length + margin <= size)


class Excluded:
    """Stretches of a genome that no window may overlap.

    Parameters
    ----------
    sources : iterable of str, path, pandas.DataFrame or Loci
        BED files, such as the ENCODE exclusion list, or tables.
    sizes : mapping of str to int
        The lengths of the chromosomes of the genome.

    Raises
    ------
    InputError
        If a source has no chromosome in common with the genome.
    """

    def __init__(self, sources: Iterable[Any], sizes: Mapping[str, int]) -> None:
        self._stretches: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        # Strands and summits of excluded stretches do not matter.
        tables = [as_regions(source, "bed3", "exclude") for source in sources]
        for table in tables:
            names = pd.unique(table["chrom"]).tolist()
            spelled = respelled_names(names, sizes)
            if spelled or (names and not set(names) & set(sizes)):
                require_chromosomes(spelled or names, sizes, "the genome")
        if tables:
            joined = pd.concat([table[["chrom", "start", "end"]] for table in tables])
            for chrom, rows in joined.groupby("chrom", sort=False):
                self._stretches[str(chrom)] = merge_stretches(rows["start"].to_numpy(), rows["end"].to_numpy())

    def touch(self, chrom: NDArray[Any], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[Any]:
        """Return which spans overlap an excluded stretch, shape (spans,)."""
        hit = np.zeros(len(chrom), bool)
        for name, (begins, ends) in self._stretches.items():
            here = chrom == name
            # If any stretch overlaps the span, so does the first one that ends after the span's start.
            first = np.searchsorted(ends, start[here], side="right")
            hit[here] = np.append(begins, np.iinfo(np.int64).max)[first] < end[here]
        return hit


def merge_stretches(start: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the stretches sorted, with those that overlap or touch each other merged."""
    order = np.argsort(start, kind="stable")
    start, reach = start[order], np.maximum.accumulate(end[order])
    first = np.ones(len(start), bool)
    first[1:] = start[1:] > reach[:-1]
    last = np.append(first[1:], True)[: len(start)]
    return start[first], reach[last]
