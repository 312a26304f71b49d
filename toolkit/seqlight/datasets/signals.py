"""Signals from bigWig files, as targets of a model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError, kind_of
from seqlight.files.digests import digest, digest_of_file
from seqlight.files.paths import existing_file
from seqlight.files.source_types import File
from seqlight.formats.bigwig_reader import BigWig
from seqlight.sequence.checks import require_count
from seqlight.sequence.chromosomes import likely_name, respelled_names

Reduce = Literal["sum", "mean"]
Missing = Literal["zero", "nan"]


class Signals:
    """Values of bigWig files in windows, one track per file.

    Parameters
    ----------
    paths : str, path, or sequence of them
        bigWig files.
    window : int, optional
        How many positions in the middle of each input window to read; all if None.
    bin : int
        Positions per number.
    reduce : {"sum", "mean"}
        How the positions of a bin are combined.
    missing : {"zero", "nan"}
        The value of positions that have none in a file, or are off the chromosome. With "nan" a bin is NaN if one of
        its positions is.
    stranded : bool
        Whether files come in pairs of the + and the - strand (0 and 1, 2 and 3 ...): then the two of a pair
        are swapped where a window is read from the other strand.

    Raises
    ------
    InputError
        If a file does not exist, or a setting is invalid.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import pandas as pd
    >>> from seqlight import write_bigwig
    >>> from seqlight.datasets import Signals
    >>> loci = pd.DataFrame({"chrom": ["chr1"], "start": [10], "end": [14]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bigwig(Path(folder) / "a.bw", np.array([[1.0, 2.0, 3.0, 4.0]]), loci, {"chr1": 100})
    ...     signals = Signals(Path(folder) / "a.bw", bin=2)
    ...     signals.read(np.array(["chr1"]), np.array([8]), 6, np.array([True])).tolist()
    [[[7.0, 3.0, 0.0]]]
    """

    def __init__(
        self,
        paths: Sequence[File] | File,
        window: int | None = None,
        bin: int = 1,
        reduce: Reduce = "sum",
        missing: Missing = "zero",
        stranded: bool = False,
    ) -> None:
        listed: list[Any] = list(paths) if isinstance(paths, list | tuple) else [paths]
        if not listed:
            raise InputError("there is no bigWig file in paths: expected at least one.")
        self.paths = [existing_file(path, "a bigWig file", "a path of signals") for path in listed]
        self.window = None if window is None else require_count(window, "window", least=1)
        self.bin = require_count(bin, "bin", least=1)
        if reduce not in ("sum", "mean"):
            raise InputError(f"reduce is {reduce!r}: expected sum or mean.")
        if missing not in ("zero", "nan"):
            raise InputError(f"missing is {missing!r}: expected zero or nan.")
        if not isinstance(stranded, bool | np.bool_):
            raise InputError(f"stranded is {stranded!r}: expected True or False.")
        if stranded and len(self.paths) % 2:
            raise InputError(
                f"stranded signals come in pairs, and there are {len(self.paths)} files: expected + and -."
            )
        self.reduce, self.missing, self.stranded = reduce, missing, stranded
        self._files = [BigWig(path) for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def span(self, length: int) -> tuple[int, int]:
        """Return which positions of input windows of `length` positions have signals, as (first, end).

        Raises
        ------
        InputError
            If `window` is longer than the input, cannot be in its middle, or is no whole number of bins.
        """
        window = length if self.window is None else self.window
        if window > length:
            raise InputError(
                f"signals are to be read at {window} positions of windows of {length}: expected at most as many."
            )
        if window % self.bin:
            raise InputError(f"windows of {window} positions are no whole number of bins of {self.bin}: change either.")
        if (length - window) % 2:
            raise InputError(
                f"signals of {window} positions cannot be in the middle of windows of {length}: "
                "expected both even, or both odd."
            )
        first = (length - window) // 2
        return first, first + window

    def require_genome(self, chroms: Sequence[str], sizes: Mapping[str, int]) -> None:
        """Raise InputError if a file is of another assembly than the genome, or has no chromosome of `chroms`."""
        for file in self._files:
            path, known = file.path, file.sizes
            for chrom in respelled_names(chroms, known):
                raise InputError(f"{path.name} has {likely_name(chrom, known)!r} for {chrom!r}: spell both alike.")
            for chrom in chroms:
                if known.get(chrom, sizes[chrom]) != sizes[chrom]:
                    raise InputError(
                        f"{chrom!r} has {known[chrom]} positions in {path.name} and {sizes[chrom]} in the genome: "
                        "expected both of one assembly."
                    )
            if chroms and not set(chroms) & set(known):
                raise InputError(
                    f"{path.name} has values on {', '.join(map(repr, list(known)[:3]))} ... and on none of the "
                    f"{len(chroms)} chromosomes that have windows: expected both of one assembly."
                )

    def read(
        self, chrom: NDArray[Any], start: NDArray[np.int64], length: int, turned: NDArray[Any]
    ) -> NDArray[np.float32]:
        """Return the signals of spans of one length.

        Parameters
        ----------
        chrom : numpy.ndarray of str, shape (spans,)
            The chromosome of each span.
        start : numpy.ndarray, int64, shape (spans,)
            Where each span starts; it may extend past either end of the chromosome.
        length : int
            Positions per span, a whole number of bins.
        turned : numpy.ndarray of bool, shape (spans,)
            Whether to read from the other strand.

        Returns
        -------
        numpy.ndarray, float32, shape (spans, tracks, bins)
        """
        values = np.full((len(start), len(self.paths), length), np.nan, np.float32)
        for name in pd.unique(chrom):
            rows = np.flatnonzero(chrom == name)
            for track, file in enumerate(self._files):
                values[rows, track] = file.read(name, start[rows], length)
        if self.missing == "zero":
            values[np.isnan(values)] = 0
        if self.bin > 1:
            bins = values.reshape(*values.shape[:2], length // self.bin, self.bin)
            # Many small numbers are summed in double precision.
            values = getattr(bins, self.reduce)(axis=-1, dtype=np.float64).astype(np.float32)
        if turned.any():
            values[turned] = self._other_strand(values[turned])
        return values

    def fingerprint(self) -> str:
        """Return a digest of files and settings."""
        files = [digest_of_file(path) for path in self.paths]
        return digest(files, self.window, self.bin, self.reduce, self.missing, self.stranded)

    def _other_strand(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        flipped = values[:, :, ::-1]
        return flipped[:, np.arange(len(self.paths)) ^ 1] if self.stranded else flipped

    def __repr__(self) -> str:
        names = ", ".join(path.name for path in self.paths)
        return f"Signals({names}; window={self.window}, bin={self.bin}, {self.reduce}, missing={self.missing})"


if TYPE_CHECKING:
    SignalSource = Signals | Sequence[File] | File
else:
    # See seqlight.files.source_types.
    SignalSource = Signals | Sequence[File]


def as_signals(source: SignalSource | None) -> Signals | None:
    """Return signals; paths become `Signals` with its default settings, and None stays None."""
    if source is None or isinstance(source, Signals):
        return source
    if not isinstance(source, str | os.PathLike | list | tuple):
        raise InputError(f"signals is {kind_of(source)}: expected paths of bigWig files, or Signals.")
    return Signals(source)
