"""What differs between a golden record and a new one, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqlight.studies.comparison.contribution_difference import ContributionDifference, contribution_difference
from seqlight.studies.comparison.model_parts import changed_parts
from seqlight.studies.golden.golden_record import GoldenRecord
from seqlight.studies.report.phrases import as_share

# In the order in which they are named, the model before them and versions behind.
FACTS = ("sequences", "references", "further inputs", "target", "seed", "dtype")
# Of the other facts only a digest is known, and of a target that is a list.
SHOWN = ("target", "seed", "dtype")
# What the dimensions of an array are, by their number; that of letters goes without saying.
OF_ATTRIBUTIONS = {
    2: ("row", "position"),
    3: ("row", "", "position"),
    4: ("row", "target", "", "position"),
}
OF_OUTPUTS = {1: ("row",), 2: ("row", "target")}


def golden_difference(old: GoldenRecord, new: GoldenRecord, rtol: float) -> str:
    """Return what moved, by how much and where, and what else changed; "" if nothing moved.

    Parameters
    ----------
    old, new : GoldenRecord
    rtol : float
        By how much attributions and outputs may differ, relative to the largest of their row or of the median row.

    Returns
    -------
    str
        The beginning of a sentence, without a full stop.
    """
    if old.attributions.shape != new.attributions.shape:
        return (
            f"attributions have the shape {new.attributions.shape} and had {old.attributions.shape}{_reasons(old, new)}"
        )
    moved = contribution_difference(old.attributions, new.attributions)
    outputs = _outputs(old, new)
    if outputs is None or outputs.size <= rtol:
        return "" if moved.size <= rtol else f"attributions {_where(moved, rtol, OF_ATTRIBUTIONS)}{_reasons(old, new)}"
    if moved.size <= rtol:
        return f"outputs {_where(outputs, rtol, OF_OUTPUTS)}, while attributions did not{_reasons(old, new)}"
    return f"attributions {_where(moved, rtol, OF_ATTRIBUTIONS)}, and outputs by {outputs.share}{_reasons(old, new)}"


def changed_facts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what changed of the facts that both records know: "other weights", "torch 2.8.0 -> 2.9.0"."""
    both = "model" in old and "model" in new
    found = [f"other {part}" for part in changed_parts(old["model"], new["model"])] if both else []
    for name in FACTS:
        if name in old and name in new and old[name] != new[name]:
            shown = name in SHOWN and not isinstance(old[name], list) and not isinstance(new[name], list)
            found.append(f"{name} {old[name]} -> {new[name]}" if shown else f"other {name}")
    for library, was in old["versions"].items():
        now = new["versions"].get(library)
        if _public(was) != _public(now):
            found.append(f"{library} {was} -> {now}")
    return found


def _outputs(old: GoldenRecord, new: GoldenRecord) -> ContributionDifference | None:
    if old.outputs is None or new.outputs is None or old.outputs.shape != new.outputs.shape:
        return None
    return contribution_difference(old.outputs, new.outputs)


def _where(moved: ContributionDifference, rtol: float, dimensions: Mapping[int, tuple[str, ...]]) -> str:
    """Return how far an array moved, and where."""
    names = dimensions.get(len(moved.place), ("row",))
    place = [f"{name} {one}" for name, one in zip(names, moved.place, strict=False) if name]
    return (
        f"moved by {moved.share}, where {as_share(rtol)} is allowed, most in {', '.join(place)} "
        f"({moved.old:.4g} -> {moved.new:.4g})"
    )


def _reasons(old: GoldenRecord, new: GoldenRecord) -> str:
    """Return what changed with it; or that nothing did of what is known, so that it is the code of a library."""
    if changed := changed_facts(old.facts, new.facts):
        return f", with {', '.join(changed)}"
    if "model" in old.facts and "model" in new.facts:
        return ", with the same model, sequences, references, seed and versions"
    return ", with the same versions (pass the model instead of attributions to have other causes named)"


def _public(version: str | None) -> str | None:
    """Return a version without the name of its build, which may be another one on another machine."""
    return None if version is None else version.partition("+")[0]
