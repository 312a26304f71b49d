"""What differs between the settings of two studies, in words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlight.studies.comparison.model_parts import changed_parts
from seqlight.studies.results import StudyResults

# What of the description of a case is called what; arrays that are kept are compared where their digests differ.
ARRAYS = {"X": "sequences", "references": "references"}
# Those that compute, of the versions that a study names.
LIBRARIES = ("torch", "seqlight")


def study_changes(old: StudyResults, new: StudyResults) -> list[str]:
    """Return what differs between two studies as a whole: versions of libraries that compute, and the seed.

    Builds of one version count as the same, "2.9.0+cpu" and "2.9.0+cu128": a second machine often has another one.

    Returns
    -------
    list of str
        Such as "torch 2.8.0 -> 2.9.0" and "seed 0 -> 1".
    """
    was, now = (one.settings["versions"] for one in (old, new))
    found = [one for name in LIBRARIES for one in _changed(name, _public(was[name]), _public(now[name]))]
    return found + _changed("seed", old.settings["random_state"], new.settings["random_state"])


def case_changes(old: StudyResults, new: StudyResults, model: str) -> list[str]:
    """Return what differs between the cases of one name in two studies.

    Returns
    -------
    list of str
        Such as "other weights", "other references", "target 0 -> 1".
    """
    was, now = (one.settings["cases"][model] for one in (old, new))
    found = [f"other {part}" for part in changed_parts(was["model"], now["model"])]
    for name, called in ARRAYS.items():
        # Another dtype makes another digest, but no other sequences.
        if was[name] != now[name] and not _equal(*(getattr(one.case(model), name) for one in (old, new))):
            found.append(f"other {called}")
    if was["args"] != now["args"]:
        found.append("other further inputs")
    return found + _changed("target", was["target"], now["target"])


def implementation_changes(old: StudyResults, new: StudyResults, implementation: str) -> list[str]:
    """Return what differs between two versions of an implementation: "captum 0.8.0 -> 0.9.0"."""
    was, now = (one.settings["implementations"][implementation] for one in (old, new))
    versions = _public(was["version"]), _public(now["version"])
    if versions[0] != versions[1]:
        # study_changes has named those of LIBRARIES.
        return [] if now["package"] in LIBRARIES else _changed(now["package"], *versions)
    return ["other code of the implementation"] if was["code"] != now["code"] else []


def _changed(name: str, was: Any, now: Any) -> list[str]:
    return [f"{name} {was} -> {now}"] if was != now else []


def _public(version: str | None) -> str | None:
    """Return a version without the name of its build."""
    return None if version is None else version.partition("+")[0]


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.equal(one.double(), other.double()))
