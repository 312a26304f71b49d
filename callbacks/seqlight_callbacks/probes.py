"""Read the sequences, arrays and intervals that a callback is given, which may be named by files."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.files.paths import as_path, existing_file
from seqlight.files.text import read_text
from seqlight.formats.bed_reader import BedLines
from seqlight.formats.fasta_reader import read_fasta
from seqlight.formats.npz import map_array
from seqlight.metrics.overlap import require_intervals
from seqlight.sequence.checks import describe_other, require_one_hot
from seqlight.sequence.one_hot import one_hot_encode

FASTA = (".fa", ".fasta", ".fna")
ARRAYS = (".npy", ".npz", ".pt")
REGIONS = (".bed", ".narrowpeak", ".broadpeak")
TABLES = {".csv": ",", ".tsv": "\t"}
# The largest position, so that sums of many fit into 64 bits.
_LARGEST = 2**48


class Probes(NamedTuple):
    """One-hot sequences, and the name of each."""

    sequences: Tensor
    names: list[str]


def read_probes(source: Tensor | str | os.PathLike[str], name: str = "sequences") -> Probes:
    """Return one-hot sequences from a tensor, or from a FASTA, npy, npz or pt file.

    Parameters
    ----------
    source : torch.Tensor of shape (sequences, letters, positions), or path
        A FASTA file, plain or gzipped, of DNA sequences of one length; upper and lower case are the same, N is
        unknown. Or an array that ``numpy.save``, ``numpy.savez`` (the only one, or the one named X) or ``torch.save``
        wrote.
    name : str
        The name of the argument, for error messages.

    Returns
    -------
    Probes
        The names are those in the FASTA file, or else the numbers of the rows.

    Raises
    ------
    InputError
        If there is no such file, or it holds something else.
    """
    if isinstance(source, str | os.PathLike) and _suffix(as_path(source, name)) in FASTA:
        names, texts = read_fasta(_existing(source, name))
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
    """Return a tensor, which may be stored in an npy, npz or pt file.

    Parameters
    ----------
    source : torch.Tensor or path
        From an npz file with several arrays, the one named `key` is taken.
    name, key : str
        The name of the argument, for error messages, and the name of the array in an npz file.

    Raises
    ------
    InputError
        If there is no such file, or it holds something else.
    """
    if isinstance(source, Tensor):
        return source
    if not isinstance(source, str | os.PathLike):
        found, remedy = describe_other(source, name)
        remedy = "take some of its rows, such as its [:24]" if hasattr(source, "batch") else remedy
        raise InputError(f"{name} is {found}: expected a torch.Tensor or the path of a file; {remedy}.")
    path = _existing(source, name)
    suffix = _suffix(path)
    if suffix not in ARRAYS:
        wanted = (*FASTA, *ARRAYS) if key == "X" else ARRAYS
        remedy = "; of regions give rows of a GenomeDataset, such as its [:24]" if suffix in REGIONS else ""
        raise InputError(
            f"{name} is the file {str(source)!r}: expected its name to end in {', '.join(wanted)}{remedy}."
        )
    if suffix == ".pt":
        return _load_tensor(path)
    found = map_array(path, key)
    if found.dtype.kind not in "biufc":
        raise InputError(f"{path} holds an array of {found.dtype}: expected numbers.")
    # PyTorch takes only the machine's own byte order, and a copy may be written to.
    return torch.from_numpy(np.array(found, dtype=found.dtype.newbyteorder("="), order="C"))


def read_intervals(
    source: pd.DataFrame | str | os.PathLike[str], names: Sequence[str], name: str = "known", length: int | None = None
) -> pd.DataFrame:
    """Return intervals on sequences from a table, or from a csv, tsv or BED file.

    Parameters
    ----------
    source : pandas.DataFrame or path
        A table, or a csv or tsv file, has the columns example_idx, start and end. A BED file has in its first
        column the name of a sequence: that in the FASTA file, or its number.
    names : sequence of str
        The names of the sequences.
    name : str
        The name of the argument, for error messages.
    length : int, optional
        Positions of the sequences, past which no interval may end.

    Returns
    -------
    pandas.DataFrame
        Columns example_idx, start and end; a table keeps its other columns, and the fourth of a BED file is motif.

    Raises
    ------
    InputError
        If a column is missing, or an interval lies on none of the sequences, or off its end.
    """
    if isinstance(source, pd.DataFrame):
        table = source
    elif isinstance(source, str | os.PathLike):
        path = _existing(source, name)
        suffix = _suffix(path)
        table = _read_table(path, TABLES[suffix]) if suffix in TABLES else _read_bed(path, names)
    else:
        raise InputError(f"{name} is {kind_of(source)}: expected a table, or the path of a csv, tsv or BED file.")
    last = require_intervals(table, name, len(names))[:, 2].max(initial=0)
    if length is not None and last > length:
        raise InputError(
            f"{name} has an interval to {last} on sequences of {length} positions: expected positions on the sequence."
        )
    return table


def _load_tensor(path: Path) -> Tensor:
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # on bytes that it did not write, PyTorch raises errors of many classes
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} holds no tensor ({reason}): expected a single tensor.") from None
    if not isinstance(found, Tensor):
        raise InputError(f"{path} holds {kind_of(found)}: expected a single tensor.")
    return found


def _read_bed(path: Path, names: Sequence[str]) -> pd.DataFrame:
    lines = BedLines(path, "bed3")
    chrom, start, end = (lines.column(one) for one in ("chrom", "start", "end"))
    rows = {one: i for i, one in enumerate(names)}
    repeated = {one for one, n in Counter(names).items() if n > 1}
    known = ", ".join(map(repr, names[:3])) + (" ..." if len(names) > 3 else "")
    lines.refuse([one not in rows for one in chrom], f"is on none of the sequences: expected one of {known}")
    lines.refuse([one in repeated for one in chrom], "has the name of several sequences: give each its own name")
    lines.refuse(start < 0, "begins below 0")
    lines.refuse(np.maximum(start, end) > _LARGEST, "is too far: no sequence has as many positions")
    motif = [fields[3].strip() if len(fields) > 3 else "" for fields in lines.rows]
    example_idx = np.array([rows[one] for one in chrom], dtype=np.int64)
    return pd.DataFrame({"example_idx": example_idx, "start": start, "end": end, "motif": motif})


def _read_table(path: Path, separator: str) -> pd.DataFrame:
    text = read_text(path, "a table")
    try:
        table = pd.read_csv(io.StringIO(text), sep=separator)
    except ValueError as error:
        raise InputError(
            f"{path} holds no table ({' '.join(str(error).split())}): expected a line of names, and one for each row."
        ) from None
    if not isinstance(table.index, pd.RangeIndex):
        # pandas takes the additional fields for row names, and each column for the one before.
        raise InputError(f"{path} has more fields in its rows than names in its first line: expected as many.")
    return table


def _existing(source: str | os.PathLike[str], name: str) -> Path:
    path = as_path(source, name).expanduser()
    if not path.exists():
        raise InputError(f"{name} is {str(source)!r}: there is no such file.")
    return existing_file(path, f"a file for {name}", name)


def _suffix(path: Path) -> str:
    return path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
