"""The groups in which ``--help`` lists the options of a command."""

from __future__ import annotations

from collections.abc import Iterable

GROUPS = {
    "model": "model checkpoint module init_args trusted strands shifts positions strand_channels",
    "data": "data genome regions window tile chroms alphabet inputs rows suite",
    "output": "out to chrom_sizes what hypothetical page shard_rows quiet strict",
    "devices": "devices accelerator strategy num_nodes batch_size pairs workers precision dtype threads time_limit "
    "memory_limit",
}
# What is special to a command, in the order of its parameters, after model and data.
SPECIAL = "what to do"


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of a command's parameters by group, in the order in which they are shown.

    Examples
    --------
    >>> grouped(["out", "target", "data", "model", "n_shuffles"])
    {'model': ['model'], 'data': ['data'], 'what to do': ['target', 'n_shuffles'], 'output': ['out']}
    """
    names = list(names)
    by_group = {title: [one for one in names if one in known.split()] for title, known in GROUPS.items()}
    rest = [one for one in names if not any(one in found for found in by_group.values())]
    ordered = {title: by_group[title] for title in ("model", "data")} | {SPECIAL: rest}
    ordered |= {title: by_group[title] for title in ("output", "devices")}
    return {title: found for title, found in ordered.items() if found}


def has_group(name: str) -> bool:
    """Return whether a parameter is known by its option; any other one without a default may be a word of its own."""
    return any(name in known.split() for known in GROUPS.values())
