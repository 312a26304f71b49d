"""Read FASTA files as text, all at once; `seqlight.formats.genome` cuts windows from files too large for that."""

from __future__ import annotations

import os
from typing import NamedTuple

from seqlight.errors import InputError
from seqlight.files.text import read_text


class FastaRecords(NamedTuple):
    """The records of a FASTA file, in its order.

    Attributes
    ----------
    names : list of str
        The first word behind each ">"; "" where there is none.
    sequences : list of str
        In upper case, of any lengths.
    """

    names: list[str]
    sequences: list[str]


def read_fasta(path: str | os.PathLike[str]) -> FastaRecords:
    r"""Read all records of a FASTA file, plain or gzipped, whatever the lengths of its lines.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    FastaRecords

    Raises
    ------
    InputError
        If there is no such file, or it is not FASTA.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.fa").write_text(">a first\nTGA\nctca\n>b\nTTG\n")
    ...     read_fasta(Path(folder) / "a.fa")
    FastaRecords(names=['a', 'b'], sequences=['TGACTCA', 'TTG'])
    """
    names: list[str] = []
    lines: list[list[str]] = []
    for line in map(str.strip, read_text(path, "a FASTA file").split("\n")):
        if line.startswith(">"):
            names.append((line[1:].split() or [""])[0])
            lines.append([])
        elif line and not lines:
            raise InputError(f"{path} does not begin with '>': expected FASTA.")
        elif line:
            lines[-1].append(line.upper())
    if not names:
        raise InputError(f"{path} holds no sequence: expected FASTA.")
    return FastaRecords(names, ["".join(parts) for parts in lines])
