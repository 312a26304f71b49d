"""Read the sequences that a command is given: arrays, a FASTA file, or regions of a genome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ARRAYS = (".npy", ".npz")
FASTA = (".fa", ".fasta", ".fna", ".fas")
REGIONS = (".bed", ".narrowpeak")


def read_some(data: Path, rows: int, genome: Path | None, window: int | None, inputs: int) -> tuple[Any, ...]:
    """Return evenly spaced rows of a file as tensors: the sequences, and the model's further inputs.

    Parameters
    ----------
    data : path
        Arrays (.npy, .npz), records (FASTA), or regions (BED, narrowPeak), which need `genome`.
    rows : int
        How many, at most.
    genome : path, optional
    window : int, optional
        Positions around the summit or centre of each region.
    inputs : int
        Number of arrays of an .npz that the model takes.

    Raises
    ------
    InputError
        If the file is of another kind, or cannot be read.
    """
    import numpy as np
    import torch

    from seqlight.errors import InputError

    suffixes = [one.lower() for one in data.suffixes if one.lower() != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    if kind in ARRAYS:
        from seqlight.cli.arrays import load_arrays

        found = load_arrays(data, inputs)
        arrays = found if isinstance(found, tuple) else (found,)
        chosen = _evenly(len(arrays[0]), rows)
        return tuple(torch.from_numpy(np.array(one[chosen])) for one in arrays)
    if kind in FASTA:
        from seqlight.datasets.fasta_dataset import FastaDataset

        dataset: Any = FastaDataset(data)
    elif kind in REGIONS:
        from seqlight.datasets.genome_dataset import GenomeDataset

        if genome is None:
            raise InputError(f"data is {data.name}, which holds regions: expected the genome's FASTA file as --genome.")
        dataset = GenomeDataset(genome, data, window=window)
    else:
        known = ", ".join((*ARRAYS, *FASTA, *REGIONS))
        raise InputError(f"data is {data.name}: expected a file that ends in {known}.")
    return (torch.as_tensor(dataset.batch(_evenly(len(dataset), rows).tolist())),)


def _evenly(n: int, rows: int) -> Any:
    """Return at most `rows` evenly spaced numbers below `n`."""
    import numpy as np

    return np.unique(np.linspace(0, n - 1, min(n, rows)).round().astype(np.int64))
