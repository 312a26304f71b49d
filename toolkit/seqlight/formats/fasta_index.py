"""Find the bytes of each sequence in a FASTA file."""

from __future__ import annotations

import mmap
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.files.bgzip import BgzipText
from seqlight.files.text import BYTE_ORDER_MARK

# The bytes of a file, mapped into memory, or unpacked where they are read.
Text: TypeAlias = NDArray[np.uint8] | BgzipText
# Bytes that are searched at once.
CHUNK = 2**24
NEWLINE, RETURN = 10, 13


class FastaIndex(NamedTuple):
    """Where the sequences of a FASTA file are: one entry each, in the order of the file.

    Attributes
    ----------
    names : tuple of str
        The text behind ">", up to the first white space.
    size : numpy.ndarray, int64
        The number of characters.
    offset : numpy.ndarray, int64
        The byte of the first character in the file.
    bases, width : numpy.ndarray, int64
        Characters in each line but the last, and bytes in it with its line end.
    """

    names: tuple[str, ...]
    size: NDArray[np.int64]
    offset: NDArray[np.int64]
    bases: NDArray[np.int64]
    width: NDArray[np.int64]


class UnevenLines(InputError):
    """A sequence has lines of different lengths before its last one, so that no index can say where its letters are."""


def build_index(names: list[str], numbers: list[tuple[int, ...]]) -> FastaIndex:
    """Return the index of records from names and (size, offset, bases, width); InputError if two share a name."""
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise InputError(f"two sequences of the FASTA file are named {twice!r}: give each its own name.")
    size, offset, bases, width = np.array(numbers, dtype=np.int64).T
    return FastaIndex(tuple(names), size, offset, np.maximum(bases, 1), np.maximum(width, 1))


def scan_fasta(path: str | os.PathLike[str]) -> FastaIndex:
    """Return the index of a FASTA file by searching all of it.

    Parameters
    ----------
    path : str or path
        The file, which begins with ">".

    Returns
    -------
    FastaIndex

    Raises
    ------
    InputError
        If a sequence has lines of different lengths before its last one, or a name is missing or repeated.
    """
    file = Path(path)
    # As a plain array, of which parts are taken several times as fast as of a map.
    return scan_text(np.memmap(file, np.uint8, mode="r").view(np.ndarray), file)


def scan_text(text: Text, file: Path) -> FastaIndex:
    """Return the index of the text of a file, as :func:`scan_fasta` does."""
    headers, released = list(_headers(text)), 0
    names: list[str] = []
    numbers: list[tuple[int, ...]] = []
    for begin, end in zip(headers, [*headers[1:], len(text)], strict=True):
        header = _line_end(text, begin, end)
        line = text[begin + len(_mark(text, begin)) + 1 : header].tobytes()
        name = header_name(line)
        if not name:
            raise InputError(f"{file} has a sequence without a name, at byte {begin}: expected one behind '>'.")
        if b"\r" in line.removesuffix(b"\r"):
            raise InputError(f"{file} ends lines with a carriage return alone: expected newlines; convert it.")
        names.append(name)
        found = _lines(text, min(header + 1, end), end)
        if found is None:
            raise UnevenLines(
                f"{file} cannot be indexed: {name!r} has lines of different lengths; expected one length, but for "
                "the last."
            )
        numbers.append(found)
        if end - released >= CHUNK:
            release_pages(text)
            released = end
    return build_index(names, numbers)


def header_name(header: bytes) -> str:
    """Return the name in a header (given without its ">"): the text before any white space, or "".

    Examples
    --------
    >>> header_name(b"chr1 of some genome"), header_name(b" chr1")
    ('chr1', '')
    """
    words = header.split(maxsplit=1)
    return words[0].decode("utf-8", "replace") if words and header.startswith(words[0]) else ""


def release_pages(text: Text) -> None:
    """Give back the memory of what was read of a mapped file: where it is read again, the system maps it again."""
    if isinstance(text, BgzipText):
        return  # which keeps little
    mapped = getattr(text, "_mmap", getattr(text.base, "_mmap", text.base))
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _mark(text: Text, begin: int) -> bytes:
    """Return the byte-order mark at the beginning of a line, or b""."""
    return BYTE_ORDER_MARK if text[begin : begin + len(BYTE_ORDER_MARK)].tobytes() == BYTE_ORDER_MARK else b""


def _headers(text: Text) -> Iterator[int]:
    """Yield where lines begin with ">", maybe behind a byte-order mark, as in files that were joined."""
    yield 0
    marked = b"\n" + BYTE_ORDER_MARK + b">"
    for start in range(0, len(text), CHUNK):
        # A few more bytes, for a line that begins with the next chunk.
        chunk = text[start : start + CHUNK + len(marked) - 1].tobytes()
        found = _places(chunk, b"\n>")
        if BYTE_ORDER_MARK in chunk:
            found = iter(sorted([*found, *_places(chunk, marked)]))
        yield from (start + at + 1 for at in found if at < CHUNK)
        release_pages(text)


def _places(chunk: bytes, what: bytes) -> Iterator[int]:
    at = chunk.find(what)
    while at >= 0:
        yield at
        at = chunk.find(what, at + 1)


def _line_end(text: Text, begin: int, end: int) -> int:
    """Return where the first newline is, or `end` if there is none."""
    for start in range(begin, end, CHUNK):
        at = text[start : min(start + CHUNK, end)].tobytes().find(b"\n")
        if at >= 0:
            return start + at
    return end


def _lines(text: Text, begin: int, end: int) -> tuple[int, ...] | None:
    """Return size, offset, bases and width of a sequence; None if its lines differ in length."""
    while end > begin and text[end - 1] in (NEWLINE, RETURN):
        end -= 1
    if begin == end:
        return 0, begin, 0, 0
    first = _line_end(text, begin, end)
    if first == end:
        return end - begin, begin, end - begin, end - begin + 1
    bases = first - begin - int(text[first - 1] == RETURN)
    width = first + 1 - begin
    full, rest = divmod(end - begin, width)
    if not 0 < rest <= bases:
        return None
    # All lines have this width if newlines are where such lines end, and nowhere else.
    step = max(1, CHUNK // width) * width
    for start in range(begin, end, step):
        lines = text[start : min(start + step, end)]
        ends = lines[width - 1 :: width]
        if not (ends == NEWLINE).all() or lines.tobytes().count(b"\n") != len(ends):
            return None
        if len(lines) == step:
            release_pages(text)
    return full * bases + rest, begin, bases, width
