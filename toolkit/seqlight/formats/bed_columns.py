"""The columns of BED and narrowPeak, and how lines of the one are told from those of the other."""

from __future__ import annotations

from collections.abc import Sequence

# In order; further ones are not read.
BED = ("chrom", "start", "end", "name", "score", "strand")
NARROW_PEAK = (*BED, "signal", "p", "q", "summit")
# So many lines, from all over a large file, are enough to tell.
MOST_LINES = 1000


def are_peaks(rows: Sequence[Sequence[str]], named: bool) -> bool:
    """Return whether at least half of the lines are of a narrowPeak; there has to be one.

    Parameters
    ----------
    rows : sequence of sequence of str
        The fields of each line.
    named : bool
        Whether the name of the file says so, as peaks.narrowPeak.bed does: then it is enough that the columns are
        there, which may have been dropped.
    """
    if not rows:
        return False
    if named and 2 * sum(map(_has_peak_columns, rows)) >= len(rows):
        return True
    some = rows[:: max(1, len(rows) // MOST_LINES)]
    return len(some) <= 2 * sum(map(_is_peak, some))


def _is_peak(fields: Sequence[str]) -> bool:
    """Return whether a line may be of a narrowPeak file, maybe with further columns, as IDR and bedtools write them."""
    if not _has_peak_columns(fields):
        return False
    if len(fields) > len(NARROW_PEAK) and not any("." in one.strip(".") or one == "-1" for one in fields[6:9]):
        return False  # whole numbers only: counts in many samples
    try:
        start, end, summit = int(fields[1]), int(fields[2]), int(fields[9])
        [float("nan" if one == "." else one) for one in fields[6:9]]
    except ValueError:
        return False
    return -1 <= summit < end - start


def _has_peak_columns(fields: Sequence[str]) -> bool:
    return len(fields) >= len(NARROW_PEAK) and not _is_bed12(fields)


def _is_bed12(fields: Sequence[str]) -> bool:
    """Return whether a line has the blocks of BED12 (and of gappedPeak): their number, sizes and starts."""
    if len(fields) < 12 or not fields[9].strip().isdecimal():
        return False
    return all(len(one.strip().strip(",").split(",")) == int(fields[9]) for one in fields[10:12])
