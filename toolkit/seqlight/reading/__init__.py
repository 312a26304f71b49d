"""Map-style torch Datasets of biological sequences: arrays, FASTA, and windows of a genome.

ArrayDataset
    tensors, NumPy arrays, npy and npz files
FastaDataset
    the records of a FASTA file
GenomeDataset
    windows around the regions of a BED file, cut from a genome, with signals from bigWig files or labels
Genome, Signals, read_bed
    what a GenomeDataset is made of, for use on their own
TrainingOrder
    a sampler whose order, and augmentation, only the seed and the epoch decide
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.reading.arrays import ArrayDataset as ArrayDataset
    from seqlight.reading.bed import read_bed as read_bed
    from seqlight.reading.fasta import FastaDataset as FastaDataset
    from seqlight.reading.genome import Genome as Genome
    from seqlight.reading.order import TrainingOrder as TrainingOrder
    from seqlight.reading.signals import Signals as Signals
    from seqlight.reading.windows import GenomeDataset as GenomeDataset

_HOME = {
    "ArrayDataset": "seqlight.reading.arrays",
    "FastaDataset": "seqlight.reading.fasta",
    "Genome": "seqlight.reading.genome",
    "GenomeDataset": "seqlight.reading.windows",
    "Signals": "seqlight.reading.signals",
    "TrainingOrder": "seqlight.reading.order",
    "read_bed": "seqlight.reading.bed",
}

__all__ = ["ArrayDataset", "FastaDataset", "Genome", "GenomeDataset", "Signals", "TrainingOrder", "read_bed"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'seqlight.reading' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
