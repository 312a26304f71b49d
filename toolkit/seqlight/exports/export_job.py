"""What is exported: results, where files go, and what is known beside."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seqlight.errors import InputError
from seqlight.exports.target_column import count_targets, target_suffix
from seqlight.formats.fasta_writer import locus_headers
from seqlight.results.results import Results
from seqlight.sequence.alphabets import USUAL, as_alphabet
from seqlight.sequence.loci import Loci


@dataclass(frozen=True)
class ExportJob:
    """Results, the folder to write into, and what some formats need beside.

    Attributes
    ----------
    results : Results
    out : pathlib.Path
        The folder for the files.
    chrom_sizes : mapping of str to int, optional
        The length of each chromosome, for bigWig.
    alphabet : str, optional
        The letters of sequences, in the order of their rows, or DNA, RNA or protein; by default those of the data,
        and where these do not say DNA for four, and protein for twenty.
    """

    results: Results
    out: Path
    chrom_sizes: Mapping[str, int] | None = None
    alphabet: str | None = None

    @property
    def kind(self) -> str:
        """What the run computed, which names its files: attributions, a track, or else predictions."""
        return next((name for name in ("attributions", "track") if name in self.results), "predictions")

    @functools.cached_property
    def targets(self) -> dict[str, int | None]:
        """The targets by what their files have in their names: nothing for a single one."""
        n = count_targets(self.results)
        return {target_suffix(k): k for k in ([None] if n is None else range(n))}

    @functools.cached_property
    def labels(self) -> list[str]:
        """A name for each row: that of its record, else its locus as ``bedtools getfasta -s`` spells it, else row_0."""
        names = self.results.row_names
        loci = self.results.loci
        if names is not None:
            return ["_".join(str(name).split()) or f"row_{i}" for i, name in enumerate(names)]
        if loci is None:
            return [f"row_{i}" for i in range(len(self.results))]
        return locus_headers(loci)

    def letters(self, name: str, format_name: str) -> str:
        """Return the letters of the rows of an array of sequences, and then the one for an unknown letter.

        Raises
        ------
        InputError
            If they are not known.
        """
        n = self.results[name].shape[-2]
        given = self.alphabet or self.results.alphabet
        if given is None and n not in USUAL:
            raise InputError(f"{name} has {n} letters, and {format_name} spells them: give their `alphabet`.")
        found = USUAL[n] if given is None else as_alphabet(given)
        if len(found.letters) != n:
            raise InputError(
                f"the alphabet {found.name} has {len(found.letters)} letters and {name} {n}: expected as many."
            )
        if not found.unknown:
            raise InputError(f"the alphabet {found.name} has both N and X, and no letter is left for an unknown one.")
        return found.letters + found.unknown[0]

    def require(self, name: str, format_name: str, advice: str) -> None:
        """Raise InputError, with what to do, if the results lack an array."""
        if name not in self.results:
            raise InputError(f"there is no {name!r} in {self.results.path}, which {format_name} needs: {advice}.")

    def require_loci(self, format_name: str) -> Loci:
        """Return where the rows are from; InputError if they are not from a genome."""
        if self.results.loci is None:
            raise InputError(
                f"the rows of {self.results.path} have no loci, which {format_name} needs: run on regions of a genome, "
                "a BED file with --genome."
            )
        return self.results.loci
