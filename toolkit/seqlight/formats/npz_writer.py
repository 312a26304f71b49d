"""Write npz files a block of rows at a time, so that no array has to fit into memory."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlight.files.atomic import atomic_write

# The fastest level of deflate: higher ones make files a few percent smaller, in three times the time.
LEVEL = 1


class ArrayBlocks(NamedTuple):
    """An array that is given in blocks of rows.

    Attributes
    ----------
    shape : tuple of int
        That of the whole array.
    dtype : numpy.dtype
    blocks : iterable of numpy.ndarray
        Its rows in order; each block has any number of them.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: Iterable[NDArray[Any]]


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any] | ArrayBlocks]) -> None:
    """Write arrays as ``numpy.savez_compressed`` does, one block at a time.

    Parameters
    ----------
    path : str or path
        The file to write; it is either complete or not there.
    arrays : mapping of str to numpy.ndarray or ArrayBlocks
        By name.

    Raises
    ------
    ValueError
        If blocks have other rows, or another dtype, than their array is said to have.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     blocks = ArrayBlocks((4, 2), np.dtype("int8"), (np.full((2, 2), i, "int8") for i in range(2)))
    ...     write_npz(f"{folder}/a.npz", {"x": blocks, "y": np.arange(3)})
    ...     np.load(f"{folder}/a.npz")["x"][:, 0].tolist()
    [0, 0, 1, 1]
    """
    with (
        atomic_write(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive,
    ):
        for name, one in arrays.items():
            # By default a zip has no room for members of more than 2 GiB.
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                if isinstance(one, ArrayBlocks):
                    _write_blocks(member, name, one)
                else:
                    np.lib.format.write_array(member, one, allow_pickle=False)


def _write_blocks(member: Any, name: str, array: ArrayBlocks) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(member, header)
    rows = 0
    for block in array.blocks:
        if block.shape[1:] != array.shape[1:] or block.dtype != array.dtype:
            raise ValueError(
                f"a block of {name!r} has shape {block.shape} {block.dtype}, and the array {array.shape} {array.dtype}"
            )
        rows += len(block)
        member.write(np.ascontiguousarray(block).data)
    if rows != array.shape[0]:
        raise ValueError(f"the blocks of {name!r} have {rows} rows: expected {array.shape[0]}")
