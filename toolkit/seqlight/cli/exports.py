"""What ``seqlight predict --to`` and ``seqlight attribute --to`` write besides the results of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

# Formats for what only attributions have.
OF_ATTRIBUTIONS = ("modisco", "bigwig", "fasta")


class Exports(NamedTuple):
    """What else is written into the folder of a run, for other programs.

    Attributes
    ----------
    names : list of str
        Formats, as :func:`seqlight.exports.formats.require_formats` returns them.
    chrom_sizes : path or None
        Where bigWig has the lengths of chromosomes from.
    alphabet : str or None
        The letters of FASTA.
    """

    names: list[str]
    chrom_sizes: Path | None
    alphabet: str | None


def require_exports(
    to: list[str] | None, data: Any, genome: Path | None, alphabet: str, kept: tuple[str, ...] = ()
) -> Exports | None:
    """Return what to write besides the results, before hours are spent on these.

    Parameters
    ----------
    to : list of str, optional
        Names of formats.
    data : Dataset, array, or tuple of arrays
    genome : path, optional
    alphabet : str
    kept : tuple of str
        What is kept beside attributions; nothing for predictions.

    Raises
    ------
    InputError
        If there is no such format, or the data or the options do not have what it needs.
    MissingExtra
        If its library is not installed.
    """
    if not to:
        return None
    from seqlight.errors import InputError
    from seqlight.exports.formats import require_formats

    names = require_formats(to)
    if not kept:
        for name in set(names) & set(OF_ATTRIBUTIONS):
            raise InputError(
                f"--to {name} is for attributions: expected formats of numbers, such as tsv or npz, or bed."
            )
    elif "modisco" in names and "hypothetical" not in kept:
        raise InputError("--to modisco needs hypothetical contributions: add --hypothetical.")
    elif "fasta" in names and not {"sequences", "hypothetical"} & set(kept):
        raise InputError("--to fasta needs the sequences: name them in --keep too.")
    without = [one for one in names if one in ("bigwig", "bed")]
    if without and getattr(data, "loci", None) is None:
        raise InputError(f"--to {without[0]} needs places in a genome: expected regions as --data, and --genome.")
    return Exports(names, genome, None if alphabet == "DNA" else alphabet)
