"""Targets by name: what is explained of a model's output, as small classes for scripts, YAML and the command line."""

from __future__ import annotations

from seqlight.targets.column import Column
from seqlight.targets.contrast import Contrast
from seqlight.targets.counts import Counts
from seqlight.targets.log_odds import LogOdds
from seqlight.targets.named_target import NamedTarget
from seqlight.targets.profile import Profile
from seqlight.targets.registry import as_target, parse
from seqlight.targets.specificity import Specificity
from seqlight.targets.window_mean import WindowMean

__all__ = [
    "Column",
    "Contrast",
    "Counts",
    "LogOdds",
    "NamedTarget",
    "Profile",
    "Specificity",
    "WindowMean",
    "as_target",
    "parse",
]
