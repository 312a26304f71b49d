"""The files that a command reads, which it must not replace by those that it writes."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

# What commands write into a folder of results, this one or those that follow it.
WRITTEN = (
    "manifest.json",
    "loci.npz",
    "row_names.npz",
    "shard-*.npz",
    "loci.bed",
    "sequences.fa",
    "seqlets.*",
    "report*.html",
    *(f"{kind}.{end}" for kind in ("attributions", "predictions") for end in ("npz", "h5", "zarr", "tsv")),
    "attributions*.bw",
    "modisco/*.npz",
    "motifs*/*",
)


def require_inputs_kept(out: Path, **inputs: Any) -> None:
    """Raise InputError for an input in the folder of the results, under the name of a file that is written there.

    Parameters
    ----------
    out : path
        The folder for the results.
    **inputs
        Paths or lists of paths by the names of their options; whatever else options hold is passed over.
    """
    from seqlight.errors import InputError

    folder = out.resolve()
    for option, given in inputs.items():
        for one in given if isinstance(given, list) else [given]:
            if not isinstance(one, Path) or not one.resolve().is_relative_to(folder):
                continue
            name = one.resolve().relative_to(folder).as_posix()
            if any(fnmatch(name, pattern) for pattern in WRITTEN):
                raise InputError(
                    f"{option} is {one}, and seqlight writes files of that name into --out {out}: give another folder, "
                    "or rename the file."
                )
