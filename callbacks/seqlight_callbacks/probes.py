"""What a constructor takes as it is, or as the name of a file: sequences, arrays and intervals."""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seqlight.errors import InputError, a
from seqlight.files.paths import as_path, existing_file
from seqlight.files.text import read_text
from seqlight.formats.npz import map_array
from seqlight.metrics.overlap import require_intervals
from seqlight.sequence.checks import require_one_hot
from seqlight.sequence.one_hot import one_hot_encode

FASTA = (".fa", ".fasta", ".fna")
ARRAYS = (".npy", ".npz", ".pt")
# Of a position, which must fit into 64 bits.
_MOST = 2**48
TABLES = {".csv": ",", ".tsv": "\t"}


class Probes(NamedTuple):
    """Sequences, and what each is called."""

    sequences: Tensor
    names: list[str]


def read_probes(source: Tensor | str | os.PathLike[str], name: str = "sequences") -> Probes:
    """Return one-hot sequences from a tensor, or from a FASTA, npy, npz or pt file.

    Parameters
    ----------
    source : torch.Tensor of shape (sequences, letters, positions), or path
        A FASTA file, maybe gzipped, of DNA of one length; upper and lower case are the same, N is unknown. Or an
        array, as ``numpy.save`` or ``numpy.savez`` (the only one, or that called X) or ``torch.save`` wrote it.
    name : str
        What to call it in a message.

    Returns
    -------
    Probes
        The names are those of the FASTA file, or the numbers of the rows.

    Raises
    ------
    InputError
        If there is no such file, or it holds something else.
    """
    if isinstance(source, str | os.PathLike) and _suffix(as_path(source, name)) in FASTA:
        names, texts = _read_fasta(_existing(source, name))
        if len({len(text) for text in texts}) > 1:
            lengths = sorted({len(text) for text in texts})
            raise InputError(f"{source} has sequences of {lengths[0]} to {lengths[-1]} characters: cut them alike.")
        try:
            return Probes(one_hot_encode(texts), names)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
    X = require_one_hot(read_array(source, name, "X"), name).detach().cpu().clone()
    return Probes(X, [str(i) for i in range(len(X))])


def read_array(source: Tensor | str | os.PathLike[str], name: str, key: str) -> Tensor:
    """Return a tensor, which may stand in an npy, npz or pt file.

    Parameters
    ----------
    source : torch.Tensor or path
        Of an npz with several arrays, that called `key` is taken.
    name, key : str
        What to call it in a message, and in a file.
    """
    if isinstance(source, Tensor):
        return source
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"{name} is {a(source)}: expected a torch.Tensor or the path of a file.")
    path = _existing(source, name)
    suffix = _suffix(path)
    if suffix not in ARRAYS:
        wanted = (*FASTA, *ARRAYS) if key == "X" else ARRAYS
        raise InputError(f"{name} is the file {str(source)!r}: expected its name to end in {', '.join(wanted)}.")
    if suffix == ".pt":
        try:
            found = torch.load(path, weights_only=True, map_location="cpu")
        except Exception as error:  # of bytes that it did not write, PyTorch raises whatever its reader meets
            said = (str(error) or type(error).__name__).splitlines()[0]
            raise InputError(f"{path} holds no tensor ({said}): expected a single tensor.") from None
        if not isinstance(found, Tensor):
            raise InputError(f"{path} holds {a(found)}: expected a single tensor.")
        return found
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [one.removesuffix(".npy") for one in archive.namelist()]
        if len(names) != 1 and key not in names:
            raise InputError(f"{path} holds the arrays {', '.join(names)}: call that of {name} {key!r}.")
    found = map_array(path, key)
    if found.dtype.kind not in "biufc":
        raise InputError(f"{path} holds an array of {found.dtype}: expected numbers.")
    # PyTorch takes numbers of the machine's own byte order alone, and a copy may be written to.
    return torch.from_numpy(np.array(found, dtype=found.dtype.newbyteorder("="), order="C"))


def read_intervals(
    source: pd.DataFrame | str | os.PathLike[str], names: Sequence[str], name: str = "known", length: int | None = None
) -> pd.DataFrame:
    """Return intervals on sequences: a table, or a csv, tsv or BED file.

    Parameters
    ----------
    source : pandas.DataFrame or path
        A table, or a csv or tsv file, has the columns example_idx, start and end. A BED file has in its first
        column what a sequence is called: its name in the FASTA file, or its number.
    names : sequence of str
        Of the sequences.
    name : str
        What to call it in a message.
    length : int, optional
        Positions of the sequences, behind which no interval may end.

    Returns
    -------
    pandas.DataFrame
        Columns example_idx, start and end; the rest of a table stays, the fourth of a BED file is motif.

    Raises
    ------
    InputError
        If a column is missing, or an interval is of no sequence, or off its end.
    """
    if isinstance(source, pd.DataFrame):
        table = source
    elif isinstance(source, str | os.PathLike):
        path = _existing(source, name)
        suffix = _suffix(path)
        table = _read_table(path, TABLES[suffix]) if suffix in TABLES else _read_bed(path, names)
    else:
        raise InputError(f"{name} is {a(source)}: expected a table, or the path of a csv, tsv or BED file.")
    last = require_intervals(table, name, len(names))[:, 2].max(initial=0)
    if length is not None and last > length:
        raise InputError(
            f"{name} has an interval to {last} on sequences of {length} positions: expected positions on the sequence."
        )
    return table


def _read_fasta(path: Path) -> tuple[list[str], list[str]]:
    names: list[str] = []
    texts: list[list[str]] = []
    for line in map(str.strip, read_text(path, "a FASTA file").split("\n")):
        if line.startswith(">"):
            names.append((line[1:].split() or [""])[0])
            texts.append([])
        elif line and not texts:
            raise InputError(f"{path} does not begin with '>': expected FASTA.")
        elif line:
            texts[-1].append(line.upper())
    if not names:
        raise InputError(f"{path} holds no sequence: expected FASTA.")
    return names, ["".join(parts) for parts in texts]


def _read_bed(path: Path, names: Sequence[str]) -> pd.DataFrame:
    rows = {one: i for i, one in enumerate(names)}
    twice = {one for one, n in Counter(names).items() if n > 1}
    found: list[tuple[int, int, int, str]] = []
    for number, line in enumerate(read_text(path, "a BED file").split("\n"), start=1):
        fields = [one.strip() for one in line.strip().split("\t")] if "\t" in line else line.split()
        if not line.strip() or fields[0].startswith("#") or fields[0].split()[0] in ("track", "browser"):
            continue
        where = f"line {number} of {path}"
        if len(fields) < 3 or not all(one.isascii() and one.isdigit() for one in fields[1:3]):
            raise InputError(f"{where} is {line.strip()!r}: expected a sequence, a start and an end.")
        if fields[0] not in rows:
            raise InputError(f"{where} is of {fields[0]!r}: expected one of the sequences, such as {names[0]!r}.")
        if fields[0] in twice:
            raise InputError(f"{where} is of {fields[0]!r}, the name of several sequences: give each its own name.")
        if max(int(fields[1]), int(fields[2])) > _MOST:
            raise InputError(f"{where} is {line.strip()!r}: no sequence has as many positions.")
        found.append((rows[fields[0]], int(fields[1]), int(fields[2]), fields[3] if len(fields) > 3 else ""))
    return pd.DataFrame(found, columns=["example_idx", "start", "end", "motif"]).astype(
        {"example_idx": int, "start": int, "end": int}
    )


def _read_table(path: Path, separator: str) -> pd.DataFrame:
    text = read_text(path, "a table")
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator)
    except ValueError as error:
        raise InputError(
            f"{path} holds no table ({' '.join(str(error).split())}): expected a line of names, and one for each row."
        ) from None
    if not isinstance(table.index, pd.RangeIndex):
        # Which pandas takes for names of the rows, and every column for the one before.
        raise InputError(f"{path} has more fields in its rows than names in its first line: expected as many.")
    return table


def _existing(source: str | os.PathLike[str], name: str) -> Path:
    path = as_path(source, name).expanduser()
    if not path.exists():
        raise InputError(f"{name} is {str(source)!r}: there is no such file.")
    return existing_file(path, f"a file for {name}", name)


def _suffix(path: Path) -> str:
    return path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
