"""What a constructor takes as it is, or as the name of a file: sequences, arrays and intervals."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seqlight.errors import InputError, a
from seqlight.metrics.overlap import require_intervals
from seqlight.sequence.checks import require_one_hot
from seqlight.sequence.onehot import one_hot_encode

FASTA = (".fa", ".fasta", ".fna")
ARRAYS = (".npy", ".npz", ".pt")
TABLES = {".csv": ",", ".tsv": "\t"}


class Probes(NamedTuple):
    """Sequences, and what each is called."""

    sequences: Tensor
    names: list[str]


def read_probes(source: Tensor | str | Path, name: str = "sequences") -> Probes:
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
    if isinstance(source, str | Path) and _suffix(Path(source)) in FASTA:
        names, texts = _read_fasta(_existing(source, name))
        if len({len(text) for text in texts}) > 1:
            lengths = sorted({len(text) for text in texts})
            raise InputError(f"{source} has sequences of {lengths[0]} to {lengths[-1]} characters: cut them alike.")
        return Probes(one_hot_encode(texts), names)
    X = require_one_hot(read_array(source, name, "X"), name).detach().cpu().clone()
    return Probes(X, [str(i) for i in range(len(X))])


def read_array(source: Tensor | str | Path, name: str, key: str) -> Tensor:
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
    if not isinstance(source, str | Path):
        raise InputError(f"{name} is {a(source)}: expected a torch.Tensor or the path of a file.")
    path = _existing(source, name)
    suffix = _suffix(path)
    if suffix not in ARRAYS:
        wanted = (*FASTA, *ARRAYS) if key == "X" else ARRAYS
        raise InputError(f"{name} is the file {str(source)!r}: expected its name to end in {', '.join(wanted)}.")
    if suffix == ".pt":
        found = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(found, Tensor):
            raise InputError(f"{path} holds {a(found)}: expected a single tensor.")
        return found
    if suffix == ".npy":
        return torch.from_numpy(np.load(path, allow_pickle=False))
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays)
        chosen = names[0] if len(names) == 1 else key
        if chosen not in names:
            raise InputError(f"{path} holds the arrays {', '.join(names)}: call that of {name} {key!r}.")
        return torch.from_numpy(np.ascontiguousarray(arrays[chosen]))


def read_intervals(source: pd.DataFrame | str | Path, names: Sequence[str], name: str = "known") -> pd.DataFrame:
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

    Returns
    -------
    pandas.DataFrame
        Columns example_idx, start and end; the rest of a table stays, the fourth of a BED file is motif.

    Raises
    ------
    InputError
        If a column is missing, or an interval is of no sequence.
    """
    if isinstance(source, pd.DataFrame):
        table = source
    elif isinstance(source, str | Path):
        path = _existing(source, name)
        suffix = _suffix(path)
        table = pd.read_csv(path, sep=TABLES[suffix]) if suffix in TABLES else _read_bed(path, names)
    else:
        raise InputError(f"{name} is {a(source)}: expected a table, or the path of a csv, tsv or BED file.")
    require_intervals(table, name, len(names))
    return table


def _read_fasta(path: Path) -> tuple[list[str], list[str]]:
    names: list[str] = []
    texts: list[list[str]] = []
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for line in map(str.strip, file):
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
    found: list[tuple[int, int, int, str]] = []
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for number, line in enumerate(file, start=1):
            if not line.strip() or line.startswith(("#", "track", "browser")):
                continue
            fields = line.split()
            where = f"line {number} of {path}"
            if len(fields) < 3 or not (fields[1].isdigit() and fields[2].isdigit()):
                raise InputError(f"{where} is {line.strip()!r}: expected a sequence, a start and an end.")
            if fields[0] not in rows:
                raise InputError(f"{where} is of {fields[0]!r}: expected one of the sequences, such as {names[0]!r}.")
            found.append((rows[fields[0]], int(fields[1]), int(fields[2]), fields[3] if len(fields) > 3 else ""))
    return pd.DataFrame(found, columns=["example_idx", "start", "end", "motif"]).astype(
        {"example_idx": int, "start": int, "end": int}
    )


def _existing(source: str | Path, name: str) -> Path:
    path = Path(source).expanduser()
    if not path.is_file():
        raise InputError(f"{name} is {str(source)!r}: there is no such file.")
    return path


def _suffix(path: Path) -> str:
    return path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
