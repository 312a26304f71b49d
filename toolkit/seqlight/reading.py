"""The former name of :mod:`seqlight.datasets`, kept for existing scripts and YAML files."""

from seqlight.datasets import ArrayDataset as ArrayDataset
from seqlight.datasets import FastaDataset as FastaDataset
from seqlight.datasets import Genome as Genome
from seqlight.datasets import GenomeDataset as GenomeDataset
from seqlight.datasets import ShuffledDataset as ShuffledDataset
from seqlight.datasets import Signals as Signals
from seqlight.datasets import TrainingOrder as TrainingOrder
from seqlight.datasets import read_bed as read_bed
from seqlight.datasets import signals as signals

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
