"""Lightning modules for any model: training, and predictions and attributions on any number of devices.

TrainModule, SequenceDataModule, GenomeDataModule
    for ``trainer.fit``
AttributionPrior, ForwardRecord
    a term of the loss on attributions, with the penalties in penalties.py, and what it need not compute again
PredictModule, DeepLiftShapModule
    for ``trainer.predict``
ShardedDataModule, ShardWriter
    to write each row once, in order, to a folder that ``seqlight.open_results`` reads

``seqlight.run`` is in run.py. collectives.py shares work among processes, and watchdog.py stops all if one ends.
model_factory.py makes models by name, with weights that checkpoints.py reads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.attribution.engine.forward_record import ForwardRecord as ForwardRecord
    from seqlight.lit.attribution_module import DeepLiftShapModule as DeepLiftShapModule
    from seqlight.lit.attribution_prior import AttributionPrior as AttributionPrior
    from seqlight.lit.data import SequenceDataModule as SequenceDataModule
    from seqlight.lit.genome import GenomeDataModule as GenomeDataModule
    from seqlight.lit.prediction_module import PredictModule as PredictModule
    from seqlight.lit.shard_writer import ShardWriter as ShardWriter
    from seqlight.lit.sharded_data import ShardedDataModule as ShardedDataModule
    from seqlight.lit.training import TrainModule as TrainModule

# Each is loaded when it is first used, since importing Lightning takes seconds.
_MODULES = {
    "TrainModule": "seqlight.lit.training",
    "AttributionPrior": "seqlight.lit.attribution_prior",
    "ForwardRecord": "seqlight.attribution.engine.forward_record",
    "SequenceDataModule": "seqlight.lit.data",
    "GenomeDataModule": "seqlight.lit.genome",
    "PredictModule": "seqlight.lit.prediction_module",
    "DeepLiftShapModule": "seqlight.lit.attribution_module",
    "ShardedDataModule": "seqlight.lit.sharded_data",
    "ShardWriter": "seqlight.lit.shard_writer",
}

__all__ = [
    "TrainModule",
    "AttributionPrior",
    "ForwardRecord",
    "SequenceDataModule",
    "GenomeDataModule",
    "PredictModule",
    "DeepLiftShapModule",
    "ShardedDataModule",
    "ShardWriter",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'seqlight.lit' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
