"""A FASTA file from which parts of records are cut in one-hot form, mapped into memory, or unpacked there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError
from seqlight.files.bgzip import LAST_BLOCK, BgzipText, is_bgzip
from seqlight.files.digests import digest_of_file
from seqlight.files.paths import existing_file
from seqlight.files.stamp import FileStamp
from seqlight.files.text import GZIP, read_text
from seqlight.formats.fai import load_fasta_index
from seqlight.formats.fasta_index import CHUNK, FastaIndex, UnevenLines, build_index, header_name
from seqlight.formats.fasta_windows import STRANGE, cut_windows
from seqlight.formats.packed_windows import cut_packed_windows
from seqlight.sequence.alphabets import DNA, Alphabet, byte_codes

WANTED = "a FASTA file"


class FastaFile:
    r"""The records of a FASTA file, of which parts are cut in one-hot form.

    The file is mapped into memory, so that only what is cut is read; of one that bgzip compressed, only the blocks in
    which that lies are unpacked. With `unpack`, one that is compressed, or whose lines have different lengths, is read
    into memory instead. It can be pickled, and used in forked and spawned processes: each opens the file for itself.
    The file must not change meanwhile, which is checked before it is read.

    Parameters
    ----------
    path : str or path
        The file.
    alphabet : Alphabet
        What the letters mean.
    unpack : bool
        Whether the file may be read into memory.
    write_index : bool
        Whether an index that is made anew is written beside the file, as ``<path>.fai``.

    Raises
    ------
    InputError
        If the file cannot be used; see `load_fasta_index`.

    Examples
    --------
    >>> import gzip, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.fa.gz").write_bytes(gzip.compress(b">a\nTTGAC\ntca\n>b\nGG\n"))
    ...     FastaFile(Path(folder) / "a.fa.gz", unpack=True).sizes
    {'a': 8, 'b': 2}
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        alphabet: Alphabet = DNA,
        *,
        unpack: bool = False,
        write_index: bool = True,
    ) -> None:
        self.path = existing_file(path, WANTED)
        self.alphabet = alphabet
        self._stamp = FileStamp.from_path(self.path)
        self._text: NDArray[np.uint8] | None = None
        self._unpacked = unpack and is_compressed(self.path)
        self._packed: BgzipText | None = None
        if not self._unpacked:
            self._packed = BgzipText(self.path) if is_compressed(self.path, by_bgzip=True) else None
            try:
                self._index: FastaIndex = load_fasta_index(self.path, write=write_index, packed=self._packed)
            except UnevenLines:
                if not unpack:
                    raise
                self._unpacked, self._packed = True, None
        if self._unpacked:
            self._index, self._text = _unpack(self.path)
        self._stamp.require_unchanged()

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each record, in the order of the file."""
        return dict(zip(self._index.names, self._index.size.tolist(), strict=True))

    def length_of(self, record: int) -> int:
        """Return the length of the record with this number in the file."""
        return int(self._index.size[record])

    def cut_rows(
        self,
        rows: NDArray[np.int64],
        start: NDArray[np.int64],
        turned: NDArray[Any],
        length: int,
        dtype: torch.dtype = torch.int8,
    ) -> Tensor:
        """Return parts of records, all of one length.

        Parameters
        ----------
        rows, start : numpy.ndarray, int64, shape (windows,)
            The number of the record in the file, and where the part starts in it, which may be off either end.
        turned : numpy.ndarray of bool, shape (windows,)
            Whether to return the reverse complement.
        length : int
            Positions of each.
        dtype : torch.dtype
            The dtype of the result.

        Returns
        -------
        torch.Tensor, shape (windows, letters, length)
            One-hot; unknown letters, and positions off the record, are columns of zeros.

        Raises
        ------
        InputError
            If a letter is not of the alphabet, or the file has changed.
        """
        index = self._index
        places = np.empty((len(rows), 6), np.int64)
        for column, field in enumerate((index.offset, index.size, index.bases, index.width)):
            places[:, column] = field[rows]
        places[:, 4], places[:, 5] = start, turned
        out = torch.empty((len(rows), len(self.alphabet.letters), length), dtype=dtype, device="cpu")
        text, cut = self._map(), cut_windows if self._packed is None else cut_packed_windows
        found = cut(text, places, _tables(self.alphabet), out)
        if found >= 0:
            row, position = divmod(found, length)
            raise self._strange(int(rows[row]), int(start[row]) + position)
        return out

    def unknown_letters(self) -> dict[str, int]:
        """Return how often each letter occurs that is read as unknown, in upper case, the usual one (N, X) left out.

        Raises
        ------
        InputError
            If a letter is not of the alphabet; the message names its record and position.
        """
        codes = np.frombuffer(byte_codes(self.alphabet, STRANGE), np.uint8).copy()
        codes[[ord(one) for one in self.alphabet.unknown[0] + self.alphabet.unknown[0].lower()]] = 0
        noted = codes >= len(self.alphabet.letters)
        noted[[ord("\n"), ord("\r")]] = False
        text, counts = self._map(), np.zeros(256, np.int64)
        for places in _inside(self._index, text, noted):
            letters = text[places]
            strange = codes[letters] == STRANGE
            if strange.any():
                raise self._strange(*self._position(int(places[int(strange.argmax())])))
            counts += np.bincount(letters, minlength=256)
        found: dict[str, int] = {}
        for byte in np.flatnonzero(counts).tolist():
            found[chr(byte).upper()] = found.get(chr(byte).upper(), 0) + int(counts[byte])
        return found

    def fingerprint(self) -> str:
        """Return a digest of the file's content, as `digest_of_file` does."""
        self._stamp.require_unchanged()
        return digest_of_file(self._stamp.path)

    def release(self) -> None:
        """Give back the memory of what was read, which is read again when it is needed."""
        if self._packed is not None:
            self._packed.release()
        if not self._unpacked:
            self._text = None

    def _map(self) -> Any:
        self._stamp.require_unchanged()
        if self._packed is not None:
            return self._packed
        if self._text is None:
            self._text = (
                _unpack(Path(self._stamp.path))[1]
                if self._unpacked
                else np.memmap(self._stamp.path, dtype=np.uint8, mode="r")
            )
        return self._text

    def _position(self, byte: int) -> tuple[int, int]:
        """Return the record that a byte is in, and its position there."""
        record = int(np.searchsorted(self._index.offset, byte, side="right")) - 1
        line, column = divmod(byte - int(self._index.offset[record]), int(self._index.width[record]))
        return record, line * int(self._index.bases[record]) + column

    def _strange(self, record: int, at: int) -> InputError:
        offset, bases, width = (int(one[record]) for one in (self._index.offset, self._index.bases, self._index.width))
        letter = chr(self._map()[offset + at // bases * width + at % bases])
        remedy = (
            "; for RNA give alphabet='RNA' (--alphabet RNA)" if letter in "Uu" and self.alphabet.name == "DNA" else ""
        )
        return InputError(
            f"{self.path.name}, {self._index.names[record]}:{at} is {letter!r}: expected "
            f"{_expected(self.alphabet)}{remedy}."
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_text": None}


def is_compressed(path: Path, by_bgzip: bool = False) -> bool:
    """Return whether a file begins as gzip, and so bgzip, writes it; with `by_bgzip`, as bgzip alone does."""
    with path.open("rb") as file:
        start = file.read(len(LAST_BLOCK))
    return is_bgzip(start) if by_bgzip else start.startswith(GZIP)


def _expected(alphabet: Alphabet) -> str:
    if alphabet.name == "DNA":
        return f"a nucleotide, or one of {alphabet.unknown} for an unknown one"
    kind = f"a letter of {alphabet.name}, " if alphabet.name in ("RNA", "protein") else ""
    unknown = f", or one of {alphabet.unknown} for an unknown one" if alphabet.unknown else ""
    return f"{kind}one of {alphabet.letters}{unknown}"


def _unpack(path: Path) -> tuple[FastaIndex, NDArray[np.uint8]]:
    """Return the index and the text of a file, whatever the lengths of its lines, with each record in one line."""
    text = read_text(path, WANTED).lstrip("\n")
    if not text.startswith(">"):
        raise InputError(f"{path} does not begin with '>': expected {WANTED}.")
    names: list[str] = []
    numbers: list[tuple[int, ...]] = []
    parts: list[bytes] = []
    offset = 0
    for record in text[1:].split("\n>"):
        header, _, body = record.partition("\n")
        names.append(header_name(header.encode()))
        if not names[-1]:
            raise InputError(f"{path} has a sequence without a name, its number {len(names)}: expected one behind '>'.")
        parts.append("".join(body.split()).encode())
        size = len(parts[-1])
        numbers.append((size, offset, size, size + 1))
        offset += size
    # An array that is never empty, since an empty record has no byte to look at.
    return build_index(names, numbers), np.frombuffer(b"".join([*parts, b"\n"]), np.uint8)


def _inside(index: FastaIndex, text: NDArray[np.uint8], noted: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Yield, some at a time, where in the text `noted` bytes are that belong to a sequence and not to a header."""
    lines = np.maximum(index.size - 1, 0) // index.bases
    end = index.offset + index.size + lines * (index.width - index.bases)
    order = np.argsort(index.offset, kind="stable")
    offset, end = index.offset[order], end[order]
    for start in range(0, len(text), CHUNK):
        places = start + np.flatnonzero(noted[text[start : start + CHUNK]])
        record = np.searchsorted(offset, places, side="right") - 1
        yield places[(record >= 0) & (places < end[np.maximum(record, 0)])]


@cache
def _tables(alphabet: Alphabet) -> NDArray[np.uint8]:
    """Return the codes of bytes on either strand; where there is only one, those of the other are the same."""
    codes = np.frombuffer(byte_codes(alphabet, STRANGE), np.uint8)
    partner = np.arange(256, dtype=np.uint8)
    partner[: len(alphabet.partners)] = alphabet.partners
    return np.stack([codes, partner[codes]])
