"""The inner loops of encoding and shuffling: compiled if the package was built with a compiler, otherwise NumPy.

Both give the same bits. Outputs are contiguous tensors on the CPU, of any dtype.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.native.library import library, pointer
from seqlight.native.threads import over_rows

Codes = NDArray[np.uint8]


def read_codes(X: Tensor) -> Codes | None:
    """Return the letter of each column of `X` (rows, letters, positions); ``letters`` for a column of zeros.

    None means that the loop cannot tell: some column is not exactly one-hot (a negative zero already counts as
    something else), `X` is not on the CPU, or there are no compiled loops.
    """
    native = library()
    if native is None or not _bits_known(X) or X.device.type != "cpu":
        return None
    X = X.detach().contiguous()
    rows, letters, length = X.shape
    codes = np.empty((rows, length), np.uint8)
    tail = (length, letters, X.element_size(), _bits_of_one(X.dtype), pointer(codes))
    bad: list[int] = []
    over_rows(lambda a, b: bad.append(native.read_rows(address(X), a, b, *tail)), rows, X.numel())
    return None if any(bad) else codes


def write_one_hot(codes: Codes, out: Tensor, start: int) -> None:
    """Write `codes` (rows, span) into `out` (rows, letters, positions), from column ``start`` on."""
    rows, span = codes.shape
    letters, length = out.shape[1:]
    native = library()
    if native is None or not _bits_known(out):
        letter = torch.arange(letters, dtype=torch.uint8, device="cpu")[None, :, None]
        out[:, :, start : start + span] = (torch.from_numpy(codes)[:, None] == letter).to(out.dtype)
        return
    tail = (span, letters, *layout(out), length, start)
    over_rows(lambda a, b: native.one_hot_rows(pointer(codes), a, b, *tail), rows, out.numel())


def encode(text: bytes, known: bytes, out: Tensor) -> int:
    """Write `text`, all rows joined, into `out`, shape (rows, letters, positions) or (letters, positions).

    Parameters
    ----------
    text : bytes
        One byte for each position.
    known : bytes
        The letters in order, then the characters that mean an unknown letter and become zeros.

    Returns
    -------
    int
        The index in `text` of a character that is not in `known`; -1 if there is none.
    """
    letters, length = out.shape[-2:]
    rows = len(text) // length
    native = library()
    size = out.element_size()
    if native is not None and size <= 8:
        tail = (length, known, len(known), letters, size, _bits_of_one(out.dtype), out.data_ptr())
        if rows == 1:
            return int(native.encode_rows(text, 0, 1, *tail))
        found: list[int] = []
        over_rows(lambda a, b: found.append(native.encode_rows(text, a, b, *tail)), rows, out.numel())
        return min((place for place in found if place >= 0), default=-1)
    line = np.frombuffer(text, np.uint8).reshape(*out.shape[:-2], length)
    for letter in range(letters):
        out[..., letter, :] = torch.from_numpy(line == known[letter])
    is_unknown = ~np.isin(line, np.frombuffer(known, np.uint8)).ravel()
    return int(is_unknown.argmax()) if is_unknown.any() else -1


def write_dinucleotide_shuffles(codes: Codes, seeds: NDArray[np.uint32], out: Tensor, start: int) -> NDArray[np.int64]:
    """Shuffle each row of `codes` (rows, span) into `out` (rows, n, letters, positions), from ``start`` on.

    All shuffles of a row are drawn from one stream, seeded with the row's seed. Codes equal to ``letters`` (unknown
    characters) are shuffled as one more letter. Returns how many positions of each row have the same character in
    all of its shuffles.
    """
    rows, span = codes.shape
    n, letters, length = out.shape[1:]
    n_fixed = np.empty(rows, np.int64)
    native = library()
    if native is None or not _bits_known(out):
        for row in range(rows):
            walks = _dinucleotide_walks(codes[row], int(seeds[row]), n)
            write_one_hot(walks, out[row], start)
            n_fixed[row] = (walks == walks[0]).all(axis=0).sum()
        return n_fixed
    tail = (span, letters + 1, n, letters, *layout(out), length, start, pointer(n_fixed))

    def work(a: int, b: int) -> None:
        if native.dinucleotide_rows(pointer(codes), pointer(seeds), a, b, *tail):
            raise MemoryError(f"no memory to shuffle a region of {span} positions")

    over_rows(work, rows, out.numel())
    return n_fixed


def write_reordered(X: Tensor, orders: NDArray[np.uint32], out: Tensor, start: int) -> None:
    """Copy the columns of `X` (rows, letters, positions) to `out`, from ``start`` on in each of `orders` (n, span)."""
    rows, n, letters, length = out.shape
    span = orders.shape[1]
    native = library()
    if native is None or not _bits_known(out):
        index = torch.from_numpy(orders.astype(np.int64)) + start
        out[..., start : start + span] = X[:, :, index].movedim(1, 2)
        return
    tail = (span, n, letters, X.element_size(), address(out), length, start)
    over_rows(lambda a, b: native.reorder_rows(address(X), pointer(orders), a, b, *tail), rows, out.numel())


def sample_codes(stream: np.random.RandomState, cumulative: NDArray[np.float64], n: int, span: int) -> Codes:
    """Draw characters by inverse transform, one double each: by round, then sequence, then position.

    Parameters
    ----------
    stream : numpy.random.RandomState
        Advances by two words for each character.
    cumulative : numpy.ndarray, float64, shape (rows, letters)
        Cumulative probabilities of each row; the last is 1.
    n, span : int
        Rounds, and positions of each sequence.

    Returns
    -------
    numpy.ndarray, uint8, shape (rows, n, span)
    """
    rows, letters = cumulative.shape
    codes = np.empty((rows, n, span), np.uint8)
    native = library()
    if native is None:
        for round_ in range(n):
            for row in range(rows):
                codes[row, round_] = np.searchsorted(cumulative[row], stream.random_sample(span), side="right")
        return codes
    # A random double is a 53-bit integer over 2**53, so the integers can be compared instead.
    steps = np.ceil(cumulative * 2.0**53).astype(np.uint64)
    kind, key, position, *gauss = stream.get_state(legacy=True)
    key, offset = np.ascontiguousarray(key, np.uint32), ctypes.c_int32(int(position))
    native.random_rows(pointer(key), ctypes.addressof(offset), pointer(steps), rows, n, span, letters, pointer(codes))
    stream.set_state((kind, key, offset.value, *gauss))
    return codes


def _dinucleotide_walks(codes: Codes, seed: int, n: int) -> Codes:
    stream = np.random.RandomState(seed)
    span = len(codes)
    followers = [codes[1:][codes[:-1] == letter] for letter in range(int(codes.max()) + 1)]
    walks = np.empty((n, span), np.uint8)
    for shuffle in range(n):
        for following in followers:
            if len(following) > 1:
                following[:-1] = following[:-1][stream.permutation(len(following) - 1)]
        rest = [iter(following.tolist()) for following in followers]
        letter = int(codes[0])
        walks[shuffle, 0] = letter
        for position in range(1, span):
            letter = next(rest[letter])
            walks[shuffle, position] = letter
    return walks


def layout(out: Tensor) -> tuple[int, int, int]:
    """Return what the loops need to write 0 and 1 into `out`: bytes per entry, the bits of 1, the address."""
    return out.element_size(), _bits_of_one(out.dtype), address(out)


def address(tensor: Tensor) -> int:
    """Return the address of a contiguous tensor on the CPU; the caller keeps the tensor alive."""
    if not tensor.is_contiguous() or tensor.device.type != "cpu":
        raise AssertionError("the loops take contiguous tensors on the CPU")
    return tensor.data_ptr()


@cache
def _bits_of_one(dtype: torch.dtype) -> int:
    return int.from_bytes(
        torch.ones((1,), dtype=dtype, device="cpu").view(torch.uint8).numpy().tobytes(), sys.byteorder
    )


def _bits_known(out: Tensor) -> bool:
    return out.element_size() in (1, 2, 4, 8) and not out.dtype.is_complex
