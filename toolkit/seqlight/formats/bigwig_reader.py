"""Values of a bigWig file, read by pyBigWig in whichever process asks."""

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

# What pyBigWig says of bytes that are not as they should be.
_DAMAGE = (RuntimeError, MemoryError, TypeError, ValueError, SystemError)


class BigWig:
    """One bigWig file; it can be pickled, and used in forked and spawned processes.

    Parameters
    ----------
    path : str or path
        Of the file.

    Raises
    ------
    InputError
        If it is no bigWig file, or, later, has changed.
    MissingExtra
        If pyBigWig is not installed.

    Attributes
    ----------
    sizes : dict of str to int
        Of the chromosomes that the file names.

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
            raise _part(self.path)
        try:
            self.sizes: dict[str, int] = self._opened().chroms()
        except _DAMAGE:
            raise _part(self.path) from None

    def read(self, chrom: str, start: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        """Return the values in spans of one length on one chromosome.

        Parameters
        ----------
        chrom : str
            Its name; one that the file does not have gives NaN.
        start : numpy.ndarray, int64, shape (spans,)
            Of each; spans may be off either end.
        length : int
            Positions of each.

        Returns
        -------
        numpy.ndarray, float32, shape (spans, length)
            NaN where there is no value.
        """
        values = np.full((len(start), length), np.nan, np.float32)
        self._stamp.require_unchanged()
        file, size = self._opened(), self.sizes.get(chrom, 0)
        # An array is made in half the time of a list; pyBigWig can be built without.
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

    def _opened(self) -> Any:
        """Return the file as this process opened it: of a handle that a fork shares, each moves the other's place."""
        if self._pid != os.getpid():
            try:
                file = import_extra("pyBigWig", "tracks").open(self._stamp.path)
            except _DAMAGE:
                file = None
            if file is None or not file.isBigWig():
                raise _part(self.path)
            self._file, self._pid = file, os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_pid": -1}


def _part(path: Path) -> InputError:
    return InputError(f"{path} is no bigWig file, or only a part of one.")
