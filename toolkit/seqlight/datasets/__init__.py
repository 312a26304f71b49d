"""Datasets of biological sequences: arrays, FASTA, windows of a genome, and small labelled sets to try things on.

ArrayDataset
    tensors, NumPy arrays, npy and npz files
FastaDataset
    the records of a FASTA file
GenomeDataset
    windows around the regions of a BED file, cut from a genome, with signals from bigWig files or labels
ShuffledDataset
    the shuffles of another dataset's sequences, as a control
Genome, Signals, read_bed
    the parts of a GenomeDataset, for use on their own
TrainingOrder
    a sampler whose order, and augmentation, depend only on the seed and the epoch

To add a dataset, derive it from :class:`~seqlight.datasets.batched_dataset.BatchedDataset` in a file of its own: define
``__len__``, ``read`` (many rows at once) and ``fingerprint`` (a digest of the content, by which a run recognises its
data); set ``loci`` if the rows are windows of a genome, ``row_names`` if they have names, and ``augments`` if they
depend on the epoch. Then add its name to `_HOME` below and to ``seqlight/__init__.py``. `ArrayDataset` is the shortest
example.

A small labelled set, such as ``ecoli`` and ``planted``, is a function that returns
:class:`~seqlight.datasets.labelled.LabelledSequences`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.datasets.array_dataset import ArrayDataset as ArrayDataset
    from seqlight.datasets.fasta_dataset import FastaDataset as FastaDataset
    from seqlight.datasets.genome_dataset import GenomeDataset as GenomeDataset
    from seqlight.datasets.sampler import TrainingOrder as TrainingOrder
    from seqlight.datasets.shuffled_dataset import ShuffledDataset as ShuffledDataset
    from seqlight.datasets.signals import Signals as Signals
    from seqlight.formats.bed_reader import read_bed as read_bed
    from seqlight.formats.genome import Genome as Genome

_HOME = {
    "ArrayDataset": "seqlight.datasets.array_dataset",
    "FastaDataset": "seqlight.datasets.fasta_dataset",
    "Genome": "seqlight.formats.genome",
    "GenomeDataset": "seqlight.datasets.genome_dataset",
    "ShuffledDataset": "seqlight.datasets.shuffled_dataset",
    "Signals": "seqlight.datasets.signals",
    "TrainingOrder": "seqlight.datasets.sampler",
    "read_bed": "seqlight.formats.bed_reader",
}

__all__ = [
    "ArrayDataset",
    "FastaDataset",
    "Genome",
    "GenomeDataset",
    "ShuffledDataset",
    "Signals",
    "TrainingOrder",
    "read_bed",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'seqlight.datasets' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
