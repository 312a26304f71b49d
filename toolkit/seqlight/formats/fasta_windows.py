"""The loop that cuts windows out of a FASTA file: compiled C where it was built, else NumPy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.native.library import library, pointer
from seqlight.native.threads import over_rows
from seqlight.sequence.native_loops import layout

# The code of a byte that must not occur.
STRANGE = 255


def cut_windows(text: NDArray[np.uint8], places: NDArray[np.int64], tables: NDArray[np.uint8], out: Tensor) -> int:
    """Write windows of a FASTA file into `out`, one-hot.

    Parameters
    ----------
    text : numpy.ndarray, uint8
        The bytes of the file; a memory map.
    places : numpy.ndarray, int64, shape (rows, 6)
        For the chromosome: its first byte, size, characters per line, bytes per line. For the window: its start,
        which may be off either end of the chromosome, and 1 for the reverse strand or 0.
    tables : numpy.ndarray, uint8, shape (2, 256)
        The code of each byte on either strand: that of its letter, the number of letters for an unknown character,
        or STRANGE.
    out : torch.Tensor, shape (rows, letters, positions)
        Contiguous, on the CPU.

    Returns
    -------
    int
        -1, or row * positions + position of the first byte that must not occur.
    """
    rows, letters, length = out.shape
    native = library()
    if native is None or out.element_size() > 8:
        return _cut_windows(text, places, tables, out)
    tail = (length, pointer(tables), letters, *layout(out))
    found: list[int] = []

    def work(a: int, b: int) -> None:
        found.append(native.cut_rows(text.ctypes.data, pointer(places), a, b, *tail))

    over_rows(work, rows, out.numel())
    if -2 in found:
        raise MemoryError(f"no memory to cut windows of {length} positions")
    return min((place for place in found if place >= 0), default=-1)


def _cut_windows(text: NDArray[np.uint8], places: NDArray[np.int64], tables: NDArray[np.uint8], out: Tensor) -> int:
    letters, length = out.shape[1:]
    offset, size, bases, width, start, turned = (column[:, None] for column in places.T)
    at = start + np.arange(length)
    on = (at >= 0) & (at < size)
    at = np.where(on, at, 0)
    # An empty chromosome has no byte to look at.
    where = np.where(on, offset + at // bases * width + at % bases, 0)
    codes = np.where(on, tables[turned, text[where]], letters).astype(np.uint8)
    if (codes == STRANGE).any():
        return int((codes == STRANGE).argmax())
    codes = np.where(turned == 1, codes[:, ::-1], codes)
    letter = torch.arange(letters, dtype=torch.uint8, device="cpu")[None, :, None]
    out.copy_((torch.from_numpy(codes)[:, None] == letter).to(out.dtype))
    return -1
