"""BED and narrowPeak files, every line checked."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.files.paths import as_path
from seqlight.files.text import read_text
from seqlight.sequence.loci import STRANDS

Format = Literal["auto", "bed", "bed3", "bed4", "bed5", "bed6", "narrowPeak"]
FORMATS = ("auto", "bed", "bed3", "bed4", "bed5", "bed6", "narrowPeak")
# Columns in their order; those behind are left out.
BED = ("chrom", "start", "end", "name", "score", "strand")
NARROW_PEAK = (*BED, "signal", "p", "q", "summit")
_NUMBERS = ("score", "signal", "p", "q")
_HEADINGS, _ENDS = ("start", "chromstart"), ("end", "chromend", "stop")
# What MACS heads the tables with that it writes beside its peaks.
_MACS = {"abs_summit", "pileup"}
_TRACK = re.compile(r"""\btype=["']?narrowPeak\b""", re.IGNORECASE)
_WANTED = "a BED or narrowPeak file, plain or gzipped"


def read_bed(path: str | os.PathLike[str], format: Format = "auto") -> pd.DataFrame:
    r"""Read a BED or narrowPeak file, plain or gzipped.

    Lines that begin with ``#``, ``track`` or ``browser``, empty ones, and a first line that names the columns
    are passed over. Fields are separated by tabs, or by any white space in lines without a tab.

    Parameters
    ----------
    path : str or path
        Of the file.
    format : {"auto", "bed", "bed3", "bed4", "bed5", "bed6", "narrowPeak"}
        "auto" takes for narrowPeak what has that name (peaks.narrowPeak, peaks.narrowPeak.gz; where lines have ten
        columns also peaks.narrowPeak.bed) or a track line with that type, and any file of which at least half of the
        lines have ten columns or more, the tenth a place inside the region or -1, and no blocks as BED12 has; a line
        that does not fit is then an error.
        "bed" reads no summits, "bed3" the first three columns alone.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end (counted from 0, start <= position < end), and as many of name, score and strand as
        the file has; of a narrowPeak also signal, p, q (as they are, usually -log10) and summit: a position on
        the chromosome, or -1 where none was called. Scores are numbers, NaN for ".". An empty file gives an
        empty table.

    Raises
    ------
    InputError
        If a line cannot be; the message has its number.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqlight.datasets import read_bed
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.bed").write_text("track name=a\nchr1\t10\t30\tpeak\t2.5\t-\n")
    ...     read_bed(Path(folder) / "a.bed").to_dict("list")
    {'chrom': ['chr1'], 'start': [10], 'end': [30], 'name': ['peak'], 'score': [2.5], 'strand': ['-']}
    """
    format = require_format(format)
    return _Lines(as_path(path), format).table()


def require_format(format: Format) -> Format:
    """Return a format that there is, or raise InputError."""
    if not isinstance(format, str) or format not in FORMATS:
        raise InputError(f"format is {format!r}: expected {', '.join(FORMATS)}.")
    return format


class _Lines:
    """The lines of one file that hold regions, by column, with their numbers for messages."""

    def __init__(self, path: Path, format: Format) -> None:
        self.path, self.format = path, format
        self.numbers: list[int] = []
        self.rows: list[list[str]] = []
        self.says_narrow_peak = False
        for number, line in enumerate(read_text(path, _WANTED).split("\n"), start=1):
            words = line.split(maxsplit=1)
            if not words or words[0].startswith("#") or words[0] in ("track", "browser"):
                self.says_narrow_peak |= words[:1] == ["track"] and _TRACK.search(line) is not None
                fields = _fields(line.strip().lstrip("#"))
                if not self.rows and len(fields) > 2 and fields[2].strip().lower() in _ENDS:
                    self.heading(fields, number)
                continue
            fields = _fields(line)
            while len(fields) > len(NARROW_PEAK) and not fields[-1]:
                fields.pop()  # of tabs at the end of a line
            if not self.rows and self.heading(fields, number):
                continue
            if len(fields) < 3:
                raise InputError(
                    f"{path}, line {number} has {len(fields)} fields, {line[:60]!r}: expected at least chrom, start "
                    "and end, separated by tabs."
                )
            self.numbers.append(number)
            self.rows.append(fields)
        self.columns = list(zip(*self.rows, strict=False))  # as many as the shortest line has

    def heading(self, fields: Sequence[str], number: int) -> bool:
        """Return whether a line names the columns."""
        names = [field.strip().lower() for field in fields]
        if len(names) < 3 or names[1] not in _HEADINGS:
            return False
        self.require_order(names, number)
        return True

    def require_order(self, heading: Sequence[str], number: int) -> None:
        """Raise InputError if a heading says that a window would be cut elsewhere, or on the other strand."""
        if _MACS & set(heading):
            raise InputError(
                f"{self.path}, line {number} is the heading of a table of MACS, which counts starts from 1: give the "
                "narrowPeak or summits.bed file beside it."
            )
        for name in () if self.format in ("bed3", "bed4", "bed5") else ("strand", "summit"):
            if name in heading and heading.index(name) != NARROW_PEAK.index(name):
                raise InputError(
                    f"{self.path}, line {number} heads column {heading.index(name) + 1} with {name!r}, where BED has "
                    f"another: give a pandas.DataFrame with the columns chrom, start, end and {name} in its place."
                )

    def table(self) -> pd.DataFrame:
        names = self.names_in(self.format)
        columns: dict[str, Any] = {}
        for name, text in zip(names, self.columns or [()] * 3, strict=False):
            columns[name] = self.column(name, text)
        table = pd.DataFrame(columns)
        self.refuse(table["start"] < 0, "begins below 0")
        self.refuse(table["end"] <= table["start"], "is empty: expected start < end")
        self.refuse(table["chrom"] == "", "has no chromosome")
        if "strand" in table:
            self.refuse(
                ~table["strand"].isin(STRANDS), f"has another strand than {', '.join(STRANDS)}; {_fewer('strand')}"
            )
        if "summit" in table:
            width = table["end"] - table["start"]
            self.refuse(
                (table["summit"] < -1) | (table["summit"] >= width),
                "has its summit outside: expected its distance from the start, or -1; read without summits by "
                "format='bed'",
            )
            table["summit"] = np.where(table["summit"] < 0, -1, table["start"] + table["summit"])
        if self.format in ("auto", "bed"):
            self.require_as_many()
        return table

    def names_in(self, format: Format) -> Sequence[str]:
        """Return what the columns are that will be read."""
        peaks = format == "narrowPeak" or (format == "auto" and self.is_narrow_peak())
        if not peaks and format in ("auto", "bed"):
            return BED  # or as many of them as there are
        names: Sequence[str] = NARROW_PEAK if peaks else BED[: int(format[-1])]
        for number, fields in zip(self.numbers, self.rows, strict=True):
            if len(fields) < len(names):
                kind = "narrowPeak" if peaks else format
                raise InputError(
                    f"{self.path}, line {number} has {len(fields)} columns: expected the {len(names)} of {kind}."
                )
        return names

    def require_as_many(self) -> None:
        """Raise InputError if a line lacks columns that others have, of which none must be lost for all."""
        most = min(max(map(len, self.rows), default=0), len(BED))
        if len(self.columns) >= most:
            return
        number, n = next(
            (number, len(one)) for number, one in zip(self.numbers, self.rows, strict=True) if len(one) < most
        )
        raise InputError(
            f"{self.path}, line {number} has {n} columns, and others have {BED[most - 1]} in column {most}: expected "
            f"as many in each; read what all have by format='bed{len(self.columns)}'."
        )

    def is_narrow_peak(self) -> bool:
        """Return whether the name or a track line says so, or at least half of the lines."""
        name = self.path.name.lower().removesuffix(".gz").removesuffix(".bgz")
        if self.says_narrow_peak or name.endswith(".narrowpeak"):
            return True
        if ".narrowpeak" in name and self.rows and 2 * sum(map(_has_columns, self.rows)) >= len(self.rows):
            return True  # peaks.narrowPeak.bed and the like, unless what was made of it has fewer columns
        # Of a large file a thousand lines tell, from all over it.
        some = self.rows[:: max(1, len(self.rows) // 1000)]
        return 0 < len(some) <= 2 * sum(map(_is_peak, some))

    def column(self, name: str, text: Sequence[str]) -> Any:
        if name in ("start", "end", "summit"):
            return self.numbers_of(name, text, int, np.int64)
        if name in _NUMBERS:
            return self.numbers_of(name, ["nan" if one == "." else one for one in text], float, np.float64)
        return np.array([one.strip() for one in text] if name in ("chrom", "strand") else text, dtype=object)

    def numbers_of(self, name: str, text: Sequence[str], kind: type, dtype: type) -> NDArray[Any]:
        found = _numbers(text, kind)
        if found is not None:
            return found.astype(dtype)
        for number, one in zip(self.numbers, text, strict=True):
            if _numbers([one], kind) is None:
                wanted = "a whole number" if kind is int else f"a number; {_fewer(name)}"
                raise InputError(f"{self.path}, line {number}: {name} is {one!r}: expected {wanted}.")
        raise AssertionError("one of the numbers is none")

    def refuse(self, bad: Any, what: str) -> None:
        bad = np.asarray(bad, dtype=bool)
        if bad.any():
            row = int(bad.argmax())
            place = "{}:{}-{}".format(*(column[row] for column in self.columns[:3]))
            raise InputError(f"{self.path}, line {self.numbers[row]}: {place} {what}.")


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _fewer(name: str) -> str:
    """Return how to read the columns before one alone."""
    return f"leave out what is no {name} by format='bed{min(NARROW_PEAK.index(name), len(BED))}'"


def _is_peak(fields: Sequence[str]) -> bool:
    """Return whether a line can be of a narrowPeak file, maybe with more columns behind, as IDR and bedtools write."""
    if not _has_columns(fields):
        return False
    if len(fields) > len(NARROW_PEAK) and not any("." in one.strip(".") or one == "-1" for one in fields[6:9]):
        return False  # whole numbers alone are counts in many samples
    try:
        start, end, summit = int(fields[1]), int(fields[2]), int(fields[9])
        [float("nan" if one == "." else one) for one in fields[6:9]]
    except ValueError:
        return False
    return -1 <= summit < end - start


def _has_columns(fields: Sequence[str]) -> bool:
    return len(fields) >= len(NARROW_PEAK) and not _is_bed12(fields)


def _is_bed12(fields: Sequence[str]) -> bool:
    """Return whether a line has the blocks of BED12, as gappedPeak has too: their number, sizes and starts."""
    if len(fields) < 12 or not fields[9].strip().isdecimal():
        return False
    return all(len(one.strip().strip(",").split(",")) == int(fields[9]) for one in fields[10:12])


def _numbers(text: Sequence[str], kind: type) -> NDArray[Any] | None:
    if any("_" in one for one in text):
        # Python reads 1_000.
        return None
    try:
        return np.array([kind(one) for one in text], dtype=np.int64 if kind is int else np.float64)
    except (ValueError, OverflowError):
        return None
