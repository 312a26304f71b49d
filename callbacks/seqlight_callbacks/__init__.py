"""Watch what a model learns while it learns it: callbacks for a stock Lightning Trainer.

AttributionCallback
    attributions of a fixed set of sequences at the end of an epoch
SeqletCallback
    the seqlets in them
LogoCallback
    pictures of them, in every logger
AttributionReport
    a page on all of it, when the training ends
ShardWriter
    what ``trainer.predict`` gives, in shards on the disk; it is that of ``seqlight.lit``
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.lit.shard_writer import ShardWriter as ShardWriter
    from seqlight_callbacks.attribution import AttributionCallback as AttributionCallback
    from seqlight_callbacks.logos import LogoCallback as LogoCallback
    from seqlight_callbacks.records import AttributionRecord as AttributionRecord
    from seqlight_callbacks.report import AttributionReport as AttributionReport
    from seqlight_callbacks.seqlets import SeqletCallback as SeqletCallback

# Each is loaded when it is first used, so that `seqlight --help` does not wait for Lightning.
_HOME = {
    "AttributionCallback": "seqlight_callbacks.attribution",
    "AttributionRecord": "seqlight_callbacks.records",
    "AttributionReport": "seqlight_callbacks.report",
    "LogoCallback": "seqlight_callbacks.logos",
    "SeqletCallback": "seqlight_callbacks.seqlets",
    "ShardWriter": "seqlight.lit.shard_writer",
}

__all__ = [
    "AttributionCallback",
    "SeqletCallback",
    "LogoCallback",
    "AttributionReport",
    "AttributionRecord",
    "ShardWriter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'seqlight_callbacks' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
