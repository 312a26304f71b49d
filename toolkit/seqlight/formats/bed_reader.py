"""Read BED and narrowPeak files, checking every line."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.files.paths import as_path
from seqlight.files.text import read_text
from seqlight.formats.bed_columns import BED, NARROW_PEAK, are_peaks
from seqlight.sequence.loci import STRANDS

Format = Literal["auto", "bed", "bed3", "bed4", "bed5", "bed6", "narrowPeak"]
FORMATS = ("auto", "bed", "bed3", "bed4", "bed5", "bed6", "narrowPeak")
_NUMBERS = ("score", "signal", "p", "q")
_START_HEADINGS, _END_HEADINGS = ("start", "chromstart"), ("end", "chromend", "stop")
# Headings of the tables that MACS writes beside its peaks.
_MACS = {"abs_summit", "pileup"}
_TRACK = re.compile(r"""\btype=["']?narrowPeak\b""", re.IGNORECASE)


def read_bed(path: str | os.PathLike[str], format: Format = "auto") -> pd.DataFrame:
    r"""Read a BED or narrowPeak file, plain or gzipped.

    Lines that begin with ``#``, ``track`` or ``browser``, empty lines, and a first line that names the columns are
    skipped. Fields are separated by tabs, or by any white space in lines without a tab.

    Parameters
    ----------
    path : str or path
        The file.
    format : {"auto", "bed", "bed3", "bed4", "bed5", "bed6", "narrowPeak"}
        With "auto", a file is a narrowPeak if its name says so (peaks.narrowPeak, peaks.narrowPeak.gz; also
        peaks.narrowPeak.bed if its lines have ten columns), if a track line has that type, or if at least half of its
        lines have ten columns or more of which the tenth is an offset inside the region or -1, and none of the blocks
        of BED12. A line that does not fit is then an error. "bed" reads no summits, and "bed3" only the first three
        columns.

    Returns
    -------
    pandas.DataFrame
        chrom, start, end (counted from 0, start <= position < end), and as many of name, score and strand as
        the file has; from a narrowPeak also signal, p, q (as written, usually -log10) and summit: a position on
        the chromosome, or -1 where none was called. Scores are numbers, NaN for ".". An empty file gives an
        empty table.

    Raises
    ------
    InputError
        If a line is malformed; the message gives its number.

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
    return BedLines(path, format).table()


def require_format(format: Format) -> Format:
    """Return `format`; raise InputError if there is no such format."""
    if not isinstance(format, str) or format not in FORMATS:
        raise InputError(f"format is {format!r}: expected {', '.join(FORMATS)}.")
    return format


class BedLines:
    r"""The intervals of one BED file by column, with their line numbers for error messages.

    :func:`read_bed` is what most callers want. Use this class for intervals with other rules than those of a genome.
    InputError if the file cannot be read, or a line has fewer than three fields.

    Parameters
    ----------
    path : str or path
        The file, plain or gzipped.
    format : str
        As in `read_bed`.

    Attributes
    ----------
    numbers : list of int
        The line number of each interval, from 1.
    rows : list of list of str
        The fields of each interval.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.bed").write_text("# sites\nseq_0\t10\t30\tGATA\n")
    ...     lines = BedLines(Path(folder) / "a.bed", "bed3")
    >>> lines.numbers, lines.rows, lines.column("start")
    ([2], [['seq_0', '10', '30', 'GATA']], array([10]))
    """

    def __init__(self, path: str | os.PathLike[str], format: Format = "auto") -> None:
        self.format = require_format(format)
        self.path = as_path(path)
        self.numbers: list[int] = []
        self.rows: list[list[str]] = []
        self._has_peak_track = False
        text = read_text(self.path, "a BED or narrowPeak file, plain or gzipped")
        for number, line in enumerate(text.split("\n"), start=1):
            words = line.split(maxsplit=1)
            if not words or words[0].startswith("#") or words[0] in ("track", "browser"):
                self._read_comment(line, words, number)
            else:
                self._read_interval(line, number)
        self._columns = list(zip(*self.rows, strict=False))  # as many as the shortest line has

    def table(self) -> pd.DataFrame:
        """Return the intervals as :func:`read_bed` does."""
        names = self._column_names()
        table = pd.DataFrame({name: self.column(name) for name in names[: max(3, len(self._columns))]})
        self.refuse(table["start"] < 0, "begins below 0")
        self.refuse(table["end"] <= table["start"], "is empty: expected start < end")
        self.refuse(table["chrom"] == "", "has no chromosome")
        if "strand" in table:
            unknown = ~table["strand"].isin(STRANDS)
            self.refuse(unknown, f"has another strand than {', '.join(STRANDS)}; {_how_to_skip('strand')}")
        if "summit" in table:
            outside = (table["summit"] < -1) | (table["summit"] >= table["end"] - table["start"])
            self.refuse(
                outside,
                "has its summit outside: expected its distance from the start, or -1; read without summits by "
                "format='bed'",
            )
            table["summit"] = np.where(table["summit"] < 0, -1, table["start"] + table["summit"])
        if self.format in ("auto", "bed"):
            self._require_equal_columns()
        return table

    def column(self, name: str) -> NDArray[Any]:
        """Return one column: int64 positions, float64 scores (NaN for "."), or text."""
        place = NARROW_PEAK.index(name)
        text: Sequence[str] = self._columns[place] if self._columns else ()
        if name in ("start", "end", "summit"):
            return self._parse(name, text, int)
        if name in _NUMBERS:
            return self._parse(name, ["nan" if one == "." else one for one in text], float)
        return np.array([one.strip() for one in text] if name in ("chrom", "strand") else text, dtype=object)

    def refuse(self, bad: Any, what: str) -> None:
        """Raise InputError for the first interval that is `bad`, by its line number and place."""
        bad = np.asarray(bad, dtype=bool)
        if bad.any():
            row = int(bad.argmax())
            place = "{}:{}-{}".format(*(column[row] for column in self._columns[:3]))
            raise InputError(f"{self.path}, line {self.numbers[row]}: {place} {what}.")

    def _read_comment(self, line: str, words: list[str], number: int) -> None:
        self._has_peak_track |= words[:1] == ["track"] and _TRACK.search(line) is not None
        fields = _split(line.strip().lstrip("#"))
        if not self.rows and len(fields) > 2 and fields[2].strip().lower() in _END_HEADINGS:
            self._is_heading(fields, number)

    def _read_interval(self, line: str, number: int) -> None:
        fields = _split(line)
        while len(fields) > len(NARROW_PEAK) and not fields[-1]:
            fields.pop()  # tabs at the end of a line
        if not self.rows and self._is_heading(fields, number):
            return
        if len(fields) < 3:
            raise InputError(
                f"{self.path}, line {number} has {len(fields)} fields, {line[:60]!r}: expected at least chrom, start "
                "and end, separated by tabs."
            )
        self.numbers.append(number)
        self.rows.append(fields)

    def _is_heading(self, fields: Sequence[str], number: int) -> bool:
        """Return whether a line names the columns; InputError if it names others than BED has."""
        names = [field.strip().lower() for field in fields]
        if len(names) < 3 or names[1] not in _START_HEADINGS:
            return False
        self._require_order(names, number)
        return True

    def _require_order(self, heading: Sequence[str], number: int) -> None:
        """Raise InputError if windows would be cut at other places, or from the other strand, than the heading says."""
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

    def _column_names(self) -> Sequence[str]:
        """Return the names of the columns to read, at most; InputError if a line lacks a column of the format."""
        peaks = self.format == "narrowPeak" or (self.format == "auto" and self._is_narrow_peak())
        if not peaks and self.format in ("auto", "bed"):
            return BED
        names: Sequence[str] = NARROW_PEAK if peaks else BED[: int(self.format[-1])]
        for number, fields in zip(self.numbers, self.rows, strict=True):
            if len(fields) < len(names):
                kind = "narrowPeak" if peaks else self.format
                raise InputError(
                    f"{self.path}, line {number} has {len(fields)} columns: expected the {len(names)} of {kind}."
                )
        return names

    def _require_equal_columns(self) -> None:
        """Raise InputError if one line is shorter than others, whose columns would then be lost."""
        most = min(max(map(len, self.rows), default=0), len(BED))
        if len(self._columns) >= most:
            return
        number, n = next(
            (number, len(one)) for number, one in zip(self.numbers, self.rows, strict=True) if len(one) < most
        )
        raise InputError(
            f"{self.path}, line {number} has {n} columns, and others have {BED[most - 1]} in column {most}: expected "
            f"as many in each; read what all have by format='bed{len(self._columns)}' (on the command "
            f"line, keep them with `cut -f1-{len(self._columns)}`)."
        )

    def _is_narrow_peak(self) -> bool:
        """Return whether the file's name, a track line, or at least half of the lines say so."""
        name = self.path.name.lower().removesuffix(".gz").removesuffix(".bgz")
        if self._has_peak_track or name.endswith(".narrowpeak"):
            return True
        return are_peaks(self.rows, named=".narrowpeak" in name)

    def _parse(self, name: str, text: Sequence[str], kind: type) -> NDArray[Any]:
        found = _as_numbers(text, kind)
        if found is not None:
            return found
        for number, one in zip(self.numbers, text, strict=True):
            if _as_numbers([one], kind) is None:
                wanted = "a whole number below 2**63" if kind is int else f"a number; {_how_to_skip(name)}"
                raise InputError(f"{self.path}, line {number}: {name} is {one!r}: expected {wanted}.")
        raise AssertionError("each of the numbers can be parsed, and all of them cannot")


def _split(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _how_to_skip(name: str) -> str:
    """Return how to read only the columns before `name`."""
    n = min(NARROW_PEAK.index(name), len(BED))
    return f"leave out what is no {name} by format='bed{n}' (on the command line, with `cut -f1-{n}`)"


def _as_numbers(text: Sequence[str], kind: type) -> NDArray[Any] | None:
    if any("_" in one for one in text):
        return None  # Python would read 1_000
    try:
        return np.array([kind(one) for one in text], dtype=np.int64 if kind is int else np.float64)
    except (ValueError, OverflowError):
        return None
