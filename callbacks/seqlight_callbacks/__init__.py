"""Callbacks for a stock Lightning Trainer that show what a model learns while it is trained.

AttributionCallback
    attributions of a fixed set of sequences at each validation, or at the end of each epoch
SeqletCallback
    the seqlets in these attributions
LogoCallback
    logos of these attributions, in every logger
AttributionReport
    an HTML report on all of this, when the training ends
RandomizationCallback
    whether these attributions change when the layers of the trained model are re-initialised
ShardWriter
    the results of ``trainer.predict`` in shards on disk; the same class as in ``seqlight.lit``

For pytest: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.lit.shard_writer import ShardWriter as ShardWriter
    from seqlight_callbacks.attribution import AttributionCallback as AttributionCallback
    from seqlight_callbacks.logos import LogoCallback as LogoCallback
    from seqlight_callbacks.randomization import RandomizationCallback as RandomizationCallback
    from seqlight_callbacks.records import AttributionRecord as AttributionRecord
    from seqlight_callbacks.report import AttributionReport as AttributionReport
    from seqlight_callbacks.seqlets import SeqletCallback as SeqletCallback

# Each is imported when it is first used, so that `seqlight --help` does not wait for Lightning.
_MODULES = {
    "AttributionCallback": "seqlight_callbacks.attribution",
    "AttributionRecord": "seqlight_callbacks.records",
    "AttributionReport": "seqlight_callbacks.report",
    "LogoCallback": "seqlight_callbacks.logos",
    "RandomizationCallback": "seqlight_callbacks.randomization",
    "SeqletCallback": "seqlight_callbacks.seqlets",
    "ShardWriter": "seqlight.lit.shard_writer",
}

__all__ = [
    "AttributionCallback",
    "SeqletCallback",
    "LogoCallback",
    "AttributionReport",
    "RandomizationCallback",
    "AttributionRecord",
    "ShardWriter",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'seqlight_callbacks' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
