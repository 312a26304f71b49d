"""Read the sequences that a command is given: arrays, a FASTA file, or regions of a genome."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

# A compressed genome of at most so many bytes is unpacked into memory; one of a mammal has about 2**30.
MOST_UNPACKED = 2**26


def open_sequences(
    data: str | Path,
    genome: str | Path | None = None,
    window: int | None = None,
    alphabet: str = "DNA",
    inputs: int = 1,
) -> Any:
    """Return the rows of a file for ``seqlight.run``; what the file is, its content tells and not its name.

    Parameters
    ----------
    data : path
        One-hot arrays (npy; npz with one array, or with X and more), records (FASTA, plain or compressed by gzip or
        bgzip), or regions (BED, narrowPeak, also compressed), which need `genome`.
    genome : path, optional
        The FASTA file that regions are cut from. A compressed one is unpacked into memory, unless it is large: then
        parts of it are unpacked if bgzip compressed it. No index is written beside it.
    window : int, optional
        Positions around the summit or centre of each region, or of each record, which is filled up with N. By default
        regions and records as they are, which must then have one length.
    alphabet : str
        "DNA", "RNA", "protein" or letters in the order of the rows: what records of FASTA are written in.
    inputs : int
        How many arrays of an npz the model takes, X first.

    Returns
    -------
    numpy.ndarray, tuple of numpy.ndarray, FastaDataset or GenomeDataset
        Mapped where that is possible. Datasets have ``loci`` and ``row_names``, where the file says them.

    Raises
    ------
    InputError
        If the file is of another kind, cannot be read, or needs an option that is missing.

    Warns
    -----
    SeqlightWarning
        If records have letters for one of several, such as R and Y, which are read as unknown; or if windows extend
        past an end of their chromosome, and are filled with N there.
    """
    from seqlight.formats.file_kind import file_kind
    from seqlight.sequence.alphabets import as_alphabet

    letters = as_alphabet(alphabet)
    path = _require_file(data)
    kind = _kind_by_name(path) or file_kind(path)
    if kind in ("npy", "npz"):
        _require_unset(path, "holds arrays", genome=genome, window=window)
        from seqlight.cli.arrays import load_arrays

        found = load_arrays(path, inputs)
        _require_letters(path, found, letters)
        return found
    if inputs > 1:
        _refuse(f"{path.name} holds sequences alone, and inputs is {inputs}: expected an npz with X and more arrays.")
    if kind == "fasta":
        _require_unset(path, "holds sequences", genome=genome)
        return _open_records(path, window, alphabet)
    if genome is None:
        _refuse(f"data is {path.name}, which holds regions: expected the genome's FASTA file as --genome.")
    if letters.name not in ("DNA", "RNA"):
        _refuse(f"alphabet is {alphabet!r}, and regions are cut from a genome: expected DNA, or RNA.")
    return _open_regions(path, genome, window)


def read_some(
    data: Path, rows: int, genome: Path | None, window: int | None, inputs: int, alphabet: str = "DNA"
) -> tuple[Any, ...]:
    """Return evenly spaced rows of a file as tensors: the sequences, and the model's further inputs.

    Parameters
    ----------
    data, genome, window, inputs, alphabet
        As in :func:`open_sequences`.
    rows : int
        How many, at most.

    Raises
    ------
    InputError
        As in :func:`open_sequences`, or if there are no rows.
    """
    import numpy as np
    import torch

    found = open_sequences(data, genome, window, alphabet, inputs)
    if isinstance(found, np.ndarray | tuple):
        arrays = found if isinstance(found, tuple) else (found,)
        chosen = _evenly(len(arrays[0]), rows)
        return tuple(torch.from_numpy(np.array(one[chosen])) for one in arrays)
    return (torch.as_tensor(found.batch(_evenly(len(found), rows).tolist())),)


def _require_letters(path: Path, found: Any, alphabet: Any) -> None:
    """Raise InputError if arrays have not the letters of an alphabet that was named; DNA is only the default."""
    X = found[0] if isinstance(found, tuple) else found
    if alphabet.name != "DNA" and X.ndim == 3 and X.shape[1] != len(alphabet.letters):
        _refuse(
            f"{path.name} has sequences of {X.shape[1]} letters, and alphabet {alphabet.name} "
            f"{len(alphabet.letters)}: expected as many, in rows x letters x positions."
        )


def _require_file(data: str | Path) -> Path:
    """Return the path of the data; InputError for standard input, which a run cannot read again."""
    if str(data) in ("-", "/dev/stdin"):
        _refuse(
            "data is standard input, and a run reads its data several times, in each process and when it goes on: "
            "expected a file; write the sequences to one first."
        )
    return Path(data)


def _kind_by_name(path: Path) -> str | None:
    """Return the kind of a file of arrays by its name, so that one that is damaged is named as such."""
    return path.suffix[1:] if path.suffix in (".npy", ".npz") and path.exists() else None


def _open_records(path: Path, length: int | None, alphabet: str) -> Any:
    from seqlight.datasets.fasta_dataset import FastaDataset

    dataset = FastaDataset(path, length, alphabet=alphabet, write_index=False)
    unknown = dataset.unknown_letters()
    if unknown:
        counts = ", ".join(f"{letter} {n:,}" for letter, n in sorted(unknown.items()))
        _warn(
            f"{path.name} has letters that stand for one of several ({counts}): they are read as unknown, like "
            f"{dataset.alphabet.unknown[0]}."
        )
    return dataset


def _open_regions(path: Path, genome: Any, window: int | None) -> Any:
    from seqlight.datasets.genome_dataset import GenomeDataset
    from seqlight.formats.bed_reader import BedLines
    from seqlight.formats.genome import Genome

    lines = BedLines(path)
    table = lines.table()
    if not len(table):
        _refuse(f"{path} has no regions: expected at least one.")
    opened = Genome(genome, write_index=False, unpack=_is_small(genome))
    _require_on_genome(lines, table, opened)
    if "strand" not in table:
        table = table.assign(strand=".")
    dataset = GenomeDataset(opened, table, window)
    if dataset.padded:
        _warn(
            f"{dataset.padded:,} of {len(dataset):,} windows of {path.name} extend past an end of their chromosome: "
            "they are filled with N there."
        )
    return dataset


def _is_small(genome: Any) -> bool:
    """Return whether a genome, if it is compressed, may be unpacked into the memory of each process."""
    path = Path(genome)
    return path.is_file() and path.stat().st_size <= MOST_UNPACKED


def _require_on_genome(lines: Any, table: Any, genome: Any) -> None:
    """Raise InputError, with the file and the line, for a region that is not on the genome."""
    from seqlight.sequence.chromosomes import likely_name

    sizes = genome.sizes
    size = table["chrom"].map(sizes)
    missing = size.isna()
    if missing.any():
        name = table["chrom"][missing.idxmax()]
        likely = likely_name(name, sizes)
        has = f"it has {likely!r}, so spell both alike" if likely else "expected regions of the same assembly"
        shown = ", ".join(map(repr, list(sizes)[:3])) + (" ..." if len(sizes) > 3 else "")
        lines.refuse(missing, f"is on {name!r}, which {genome.path.name} does not have (it has {shown}): {has}")
    middle = (table["start"] + table["end"]) // 2
    if "summit" in table:
        middle = middle.where(table["summit"] < 0, table["summit"])
    outside = (table["start"] >= size) | (middle >= size)
    if outside.any():
        end = int(size[outside.idxmax()])
        lines.refuse(outside, f"is off its chromosome of {end:,} positions: expected regions of the same assembly")


def _require_unset(path: Path, holds: str, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            _refuse(f"there is --{name}, which is for regions, and {path.name} {holds}: leave it out.")


def _warn(sentence: str) -> None:
    import warnings

    from seqlight.errors import SeqlightWarning

    warnings.warn(sentence, SeqlightWarning, stacklevel=4)


def _refuse(sentence: str) -> NoReturn:
    from seqlight.errors import InputError

    raise InputError(sentence)


def _evenly(n: int, rows: int) -> Any:
    """Return at most `rows` evenly spaced numbers below `n`."""
    import numpy as np

    return np.unique(np.linspace(0, n - 1, min(n, rows)).round().astype(np.int64))
