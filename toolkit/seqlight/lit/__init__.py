"""Lightning around any model: training, and predictions and attributions on any number of devices.

TrainModule, SequenceDataModule, GenomeDataModule
    to train with
PredictModule, DeepLiftShapModule
    for ``trainer.predict``
ShardedDataModule, ShardWriter
    every row once, in order, into a folder that ``seqlight.open_results`` reads
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.lit.attributing import DeepLiftShapModule as DeepLiftShapModule
    from seqlight.lit.data import SequenceDataModule as SequenceDataModule
    from seqlight.lit.genome import GenomeDataModule as GenomeDataModule
    from seqlight.lit.predicting import PredictModule as PredictModule
    from seqlight.lit.sharded import ShardedDataModule as ShardedDataModule
    from seqlight.lit.training import TrainModule as TrainModule
    from seqlight.lit.writing import ShardWriter as ShardWriter

# Each is loaded when it is first used, for Lightning takes seconds.
_HOME = {
    "TrainModule": "seqlight.lit.training",
    "SequenceDataModule": "seqlight.lit.data",
    "GenomeDataModule": "seqlight.lit.genome",
    "PredictModule": "seqlight.lit.predicting",
    "DeepLiftShapModule": "seqlight.lit.attributing",
    "ShardedDataModule": "seqlight.lit.sharded",
    "ShardWriter": "seqlight.lit.writing",
}

__all__ = [
    "TrainModule",
    "SequenceDataModule",
    "GenomeDataModule",
    "PredictModule",
    "DeepLiftShapModule",
    "ShardedDataModule",
    "ShardWriter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'seqlight.lit' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
