"""One array, in memory or in a file, of which rows are read."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.files.source_types import ArraySource
from seqlight.files.stamp import FileStamp
from seqlight.formats.npz import map_array
from seqlight.sequence.checks import require_dense

# The types of NumPy that PyTorch lacks, on machines where they have more than 64 bits per number.
_LONGER = {np.dtype(one) for one in (np.longdouble, np.clongdouble)} - {np.dtype("f8"), np.dtype("c16")}


class StoredArray:
    """A tensor, an array, or a file of one, which each process maps for itself.

    Parameters
    ----------
    name : str
        Its name in error messages, and in an npz file that holds several arrays.
    source : torch.Tensor, numpy.ndarray, or path of an npy or npz file
        Numbers, with at least one dimension.

    Raises
    ------
    InputError
        If it is none of these, or a file that has changed when it is read later.

    Examples
    --------
    >>> StoredArray("y", np.arange(4)).rows(np.array([3, 0]))
    tensor([3, 0])
    """

    def __init__(self, name: str, source: ArraySource) -> None:
        self.name, self.source = name, source
        self._map: NDArray[Any] | None = None
        self._stamp = _stamp(source)
        array = self._open()
        if not isinstance(array, Tensor | np.ndarray) or array.ndim == 0:
            raise InputError(
                f"{name} is {kind_of(array)}: expected a tensor, an array, or the path of an npy or npz file."
            )
        if isinstance(array, Tensor):
            require_dense(array, name)
        if isinstance(array, np.ndarray) and (array.dtype.kind not in "biufc" or array.dtype in _LONGER):
            raise InputError(f"{name} is an array of {array.dtype}: expected numbers, in a type that PyTorch has.")
        if np.ma.is_masked(array):
            raise InputError(f"{name} is a masked array with masked entries: fill them, with `.filled(0)`.")
        self.shape: tuple[int, ...] = tuple(array.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, rows: NDArray[np.int64]) -> Tensor:
        """Return a copy of the rows."""
        array = self._open()
        if isinstance(array, Tensor):
            return array[torch.from_numpy(rows)]
        picked = array[rows]
        # PyTorch takes only the machine's own byte order.
        return torch.from_numpy(np.ascontiguousarray(picked, dtype=picked.dtype.newbyteorder("=")))

    def content(self) -> NDArray[Any]:
        """Return the whole array, for a digest."""
        array = self._open()
        if isinstance(array, np.ndarray):
            return array
        tensor = array.detach().cpu().contiguous()
        # NumPy has no bfloat16.
        return tensor.numpy() if tensor.dtype != torch.bfloat16 else tensor.view(torch.int16).numpy()

    def _open(self) -> Tensor | NDArray[Any]:
        # An array that was read into memory does not change with its file.
        if self._stamp is not None and (self._map is None or isinstance(self._map, np.memmap)):
            self._stamp.require_unchanged()
        if not isinstance(self.source, str | os.PathLike):
            return self.source
        if self._map is None:
            self._map = map_array(self.source if self._stamp is None else self._stamp.path, self.name)
        return self._map

    def __getstate__(self) -> dict[str, Any]:
        # A pickle would contain the whole content of the mapped file.
        return self.__dict__ | {"_map": None}


def _stamp(source: object) -> FileStamp | None:
    """Return the stamp of a file that exists, or of the one that an array maps."""
    # A map that is open for writing may be changed by the user.
    if isinstance(source, np.memmap) and source.mode in ("r", "c"):
        source = getattr(source, "filename", None)
    with contextlib.suppress(OSError, ValueError):
        return FileStamp.from_path(source) if isinstance(source, str | os.PathLike) else None
    return None
