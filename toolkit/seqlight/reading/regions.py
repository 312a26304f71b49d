"""BED and narrowPeak files as tables, every line checked."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError, a
from seqlight.reading.sources import RegionSources
from seqlight.sequence.loci import STRANDS, Loci, as_loci

Format = Literal["auto", "bed", "narrowPeak"]
FORMATS = ("auto", "bed", "narrowPeak")
# Columns in their order; those behind are left out.
BED = ("chrom", "start", "end", "name", "score", "strand")
NARROW_PEAK = (*BED, "signal", "p", "q", "summit")
_NUMBERS = ("score", "signal", "p", "q")
_HEADINGS = ("start", "chromstart")


def read_bed(path: str | os.PathLike[str], format: Format = "auto") -> pd.DataFrame:
    r"""Read a BED or narrowPeak file, plain or gzipped.

    Lines that begin with ``#``, ``track`` or ``browser``, empty ones, and a first line that names the columns
    are passed over. Fields are separated by tabs, or by any white space in lines without a tab.

    Parameters
    ----------
    path : str or path
        Of the file.
    format : {"auto", "bed", "narrowPeak"}
        "auto" takes ten columns, of which the last is a place inside the region or -1, for narrowPeak.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end (counted from 0, start <= position < end), and as many of name, score and strand as
        the file has; of a narrowPeak also signal, p, q (as they are, usually -log10) and summit: a position on
        the chromosome, or -1. Scores are numbers, NaN for ".". An empty file gives an empty table.

    Raises
    ------
    InputError
        If a line cannot be; the message has its number.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqlight.reading import read_bed
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.bed").write_text("track name=a\nchr1\t10\t30\tpeak\t2.5\t-\n")
    ...     read_bed(Path(folder) / "a.bed").to_dict("list")
    {'chrom': ['chr1'], 'start': [10], 'end': [30], 'name': ['peak'], 'score': [2.5], 'strand': ['-']}
    """
    if format not in FORMATS:
        raise InputError(f"format is {format!r}: expected {', '.join(FORMATS)}.")
    return _Lines(Path(path)).table(format)


def as_regions(source: RegionSources) -> pd.DataFrame:
    """Return regions as a table with at least chrom, start, end and strand.

    Parameters
    ----------
    source : str, path, pandas.DataFrame or Loci, or sequence of them
        A file for `read_bed`, or a table with the columns of one. Several are taken one behind the other.

    Returns
    -------
    pandas.DataFrame
        Numbered from 0. Of several sources with a column source that says which, counted from 0.
    """
    listed = sources(source)
    if not listed:
        raise InputError("regions is empty: expected at least one BED file or table.")
    if len(listed) == 1 and listed[0] is source:
        return _one(source)
    joined = pd.concat([_one(one).assign(source=i) for i, one in enumerate(listed)], ignore_index=True)
    if "summit" in joined:
        joined["summit"] = joined["summit"].fillna(-1).astype(np.int64)
    return joined


def sources(source: RegionSources) -> list[Any]:
    """Return the sources of a list of them, or the one."""
    return list(source) if isinstance(source, list | tuple) and not isinstance(source, Loci) else [source]


def _one(source: Any) -> pd.DataFrame:
    if isinstance(source, str | os.PathLike):
        table = read_bed(source)
    elif isinstance(source, pd.DataFrame | Loci):
        loci = as_loci(source)
        table = source.reset_index(drop=True) if isinstance(source, pd.DataFrame) else pd.DataFrame(loci._asdict())
        table = table.assign(start=loci.start, end=loci.end, strand=loci.strand)
    else:
        raise InputError(f"regions is {a(source)}: expected the path of a BED file, a table or Loci.")
    return table if "strand" in table else table.assign(strand=".")


class _Lines:
    """The lines of one file that hold regions, by column, with their numbers for messages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.numbers: list[int] = []
        rows: list[Sequence[str]] = []
        for number, line in enumerate(_text(path), start=1):
            line = line.rstrip("\r\n")
            words = line.split(maxsplit=1)
            if not words or line.startswith("#") or words[0] in ("track", "browser"):
                continue
            fields = line.split("\t") if "\t" in line else line.split()
            if not rows and len(fields) > 2 and fields[1].strip().lower() in _HEADINGS:
                continue
            if len(fields) < 3:
                raise InputError(
                    f"{path}, line {number} has {len(fields)} fields, {line[:60]!r}: expected at least chrom, start "
                    "and end, separated by tabs."
                )
            self.numbers.append(number)
            rows.append(fields)
        self.widths = {len(fields) for fields in rows}
        self.columns = list(zip(*rows, strict=False))  # as many as the shortest line has

    def table(self, format: Format) -> pd.DataFrame:
        columns: dict[str, Any] = {}
        names = NARROW_PEAK if self.is_narrow_peak(format) else BED
        for name, text in zip(names, self.columns or [()] * 3, strict=False):
            columns[name] = self.column(name, text)
        table = pd.DataFrame(columns)
        self.refuse(table["start"] < 0, "begins below 0")
        self.refuse(table["end"] <= table["start"], "is empty: expected start < end")
        self.refuse(table["chrom"] == "", "has no chromosome")
        if "strand" in table:
            self.refuse(~table["strand"].isin(STRANDS), f"has another strand than {', '.join(STRANDS)}")
        if "summit" in table:
            width = table["end"] - table["start"]
            self.refuse((table["summit"] < -1) | (table["summit"] >= width), "has its summit outside")
            table["summit"] = np.where(table["summit"] < 0, -1, table["start"] + table["summit"])
        return table

    def is_narrow_peak(self, format: Format) -> bool:
        if format == "bed" or not self.columns:
            return False
        if format == "narrowPeak":
            if min(self.widths) < len(NARROW_PEAK):
                raise InputError(
                    f"{self.path} has {min(self.widths)} columns: expected the {len(NARROW_PEAK)} of narrowPeak."
                )
            return True
        if self.widths != {len(NARROW_PEAK)}:
            return False
        start, end, summit = (self._numbers(self.columns[i], int) for i in (1, 2, 9))
        if start is None or end is None or summit is None:
            return False
        numbers = all(self._numbers(self.columns[i], float) is not None for i in (6, 7, 8))
        return numbers and bool(((summit >= -1) & (summit < end - start)).all())

    def column(self, name: str, text: Sequence[str]) -> Any:
        if name in ("start", "end", "summit"):
            return self.numbers_of(name, text, int, np.int64)
        if name in _NUMBERS:
            return self.numbers_of(name, ["nan" if one == "." else one for one in text], float, np.float64)
        return np.array(text, dtype=object)

    def numbers_of(self, name: str, text: Sequence[str], kind: type, dtype: type) -> NDArray[Any]:
        found = self._numbers(text, kind)
        if found is not None:
            return found.astype(dtype)
        for number, one in zip(self.numbers, text, strict=True):
            if self._numbers([one], kind) is None:
                wanted = "a whole number" if kind is int else "a number"
                raise InputError(f"{self.path}, line {number}: {name} is {one!r}: expected {wanted}.")
        raise AssertionError("one of the numbers is none")

    @staticmethod
    def _numbers(text: Sequence[str], kind: type) -> NDArray[Any] | None:
        if any("_" in one for one in text):
            # Python reads 1_000.
            return None
        try:
            return np.array([kind(one) for one in text], dtype=np.int64 if kind is int else np.float64)
        except (ValueError, OverflowError):
            return None

    def refuse(self, bad: Any, what: str) -> None:
        bad = np.asarray(bad, dtype=bool)
        if bad.any():
            row = int(bad.argmax())
            place = "{}:{}-{}".format(*(column[row] for column in self.columns[:3]))
            raise InputError(f"{self.path}, line {self.numbers[row]}: {place} {what}.")


def _text(path: Path) -> io.TextIOBase:
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}: expected a BED or narrowPeak file.")
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    content = gzip.decompress(path.read_bytes()) if zipped else path.read_bytes()
    try:
        return io.StringIO(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text: expected a BED or narrowPeak file, plain or gzipped.") from None
