"""Read values from bigWig files with pyBigWig, in any process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.extras import import_extra
from seqlight.files.paths import existing_file
from seqlight.files.stamp import FileStamp
from seqlight.formats.bigwig_header import is_bigwig

# What pyBigWig raises for damaged files.
_DAMAGE = (RuntimeError, MemoryError, TypeError, ValueError, SystemError)


class BigWig:
    """One bigWig file, which can be pickled and used in forked and spawned processes.

    Parameters
    ----------
    path : str or path
        The file.

    Raises
    ------
    InputError
        If it is not a bigWig file, or has changed when it is read later.
    MissingExtra
        If pyBigWig is not installed.

    Attributes
    ----------
    sizes : dict of str to int
        The length of each chromosome that the file names.

    Examples
    --------
    >>> BigWig("counts.bw").read("chr1", np.array([1000, 5000]), 200).shape  # doctest: +SKIP
    (2, 200)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = existing_file(path, "a bigWig file")
        self._stamp = FileStamp.from_path(self.path)
        self._file: Any = None
        self._pid = -1
        if not is_bigwig(self.path):
            raise _not_bigwig(self.path)
        try:
            self.sizes: dict[str, int] = self._open().chroms()
        except _DAMAGE:
            raise _not_bigwig(self.path) from None

    def read(self, chrom: str, start: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        """Return the values in spans of one length on one chromosome.

        Parameters
        ----------
        chrom : str
            The chromosome; one that the file does not have gives NaN.
        start : numpy.ndarray, int64, shape (spans,)
            Where each span starts; it may extend past either end of the chromosome.
        length : int
            Positions of each span.

        Returns
        -------
        numpy.ndarray, float32, shape (spans, length)
            NaN where there is no value.
        """
        values = np.full((len(start), length), np.nan, np.float32)
        self._stamp.require_unchanged()
        file, size = self._open(), self.sizes.get(chrom, 0)
        # An array takes half the time of a list, but pyBigWig may be built without NumPy.
        how = {"numpy": True} if import_extra("pyBigWig", "tracks").numpy else {}
        for row, first in enumerate(start.tolist()):
            low, high = max(first, 0), min(first + length, size)
            if low < high:
                try:
                    values[row, low - first : high - first] = file.values(chrom, low, high, **how)
                except _DAMAGE as error:
                    raise InputError(
                        f"{self.path}, {chrom}:{low}-{high} cannot be read ({error}): copy it again."
                    ) from None
        return values

    def _open(self) -> Any:
        """Return the file as this process opened it: with a handle shared after a fork, each process moves the other's.

        Raises
        ------
        InputError
            If pyBigWig cannot open it.
        """
        if self._pid != os.getpid():
            try:
                file = import_extra("pyBigWig", "tracks").open(self._stamp.path)
            except _DAMAGE:
                file = None
            if file is None or not file.isBigWig():
                raise _not_bigwig(self.path)
            self._file, self._pid = file, os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_pid": -1}


def _not_bigwig(path: Path) -> InputError:
    return InputError(f"{path} is no bigWig file, or only a part of one: copy or download it again.")
