"""Seqlets of a folder of results, with where they are, what they spell, and which motifs they resemble."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.exports.export_job import ExportJob
from seqlight.exports.target_column import count_targets, target_column
from seqlight.formats.motifs import Motifs
from seqlight.motifs.known_motifs import annotate_texts
from seqlight.motifs.seqlet_columns import add_places, add_texts
from seqlight.results.results import Results
from seqlight.seqlets.modisco.caller import tfmodisco_seqlets
from seqlight.seqlets.recursive.caller import recursive_seqlets
from seqlight.sequence.alphabets import DNA

CallerName = Literal["recursive", "tfmodisco"]
RECURSIVE = ("threshold", "min_seqlet_len", "max_seqlet_len", "additional_flanks", "sign")
TFMODISCO = ("window_size", "flank")
# The flank of tfmodisco_seqlets, which is no part of the sum, and is not compared with motifs.
FLANK = 10

# What a run keeps beside its attributions, which are the same with and without.
BESIDE = ("method hypothetical ", "method keep ", "method layers ")


@dataclass(frozen=True)
class SeqletOptions:
    """How seqlets are called.

    Attributes
    ----------
    caller : "recursive" or "tfmodisco"
    fdr : float, optional
        For the recursive caller the largest false discovery rate, which needs `control`; for that of TF-MoDISco its own
        rate.
    control : Results, optional
        Attributions of shuffled sequences.
    options : mapping
        Other arguments of the caller.
    """

    caller: CallerName = "recursive"
    fdr: float | None = None
    control: Results | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {"recursive": RECURSIVE, "tfmodisco": TFMODISCO}
        if self.caller not in known:
            raise InputError(f"caller is {self.caller!r}: expected 'recursive' or 'tfmodisco'.")
        for name in self.options:
            if name not in known[self.caller]:
                other = "tfmodisco" if self.caller == "recursive" else "recursive"
                raise InputError(
                    f"{name} is an option of the caller {other!r}, and {self.caller!r} is used: leave it out."
                )
        if self.caller == "tfmodisco" and self.control is not None:
            raise InputError("a control was given, which the caller 'tfmodisco' does not use: leave it out.")
        if self.control is not None and "threshold" in self.options:
            raise InputError("threshold was given beside a control, which sets it: leave one of them out.")
        if self.caller == "recursive" and self.fdr is not None and self.control is None:
            raise InputError(
                "fdr was given without a control, from which the rate is estimated: attribute shuffled sequences, with "
                "the same command and `--shuffled --out control`, and give `--control control`."
            )

    @property
    def core_flank(self) -> int:
        """How many positions at both ends of a seqlet are flanks, and not what was called."""
        if self.caller == "tfmodisco":
            return int(self.options.get("flank", FLANK))
        return int(self.options.get("additional_flanks", 0))


def call_seqlets(
    results: Results,
    options: SeqletOptions,
    target: int | None = None,
    known: Motifs | None = None,
    alphabet: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Call seqlets in a run's attributions, summed over letters.

    All rows are needed at a time, since a caller's null is made of them: 4 bytes for each position, 0.85 GB for
    100,000 rows of 2,114.

    Parameters
    ----------
    results : Results
        Of a run of ``DeepLiftShapModule``.
    options : SeqletOptions
    target : int, optional
        Which of several targets; all of them, one after the other, if None.
    known : dict of str to numpy.ndarray, optional
        Known motifs, which seqlets are compared with.
    alphabet : str, optional
        The letters of the sequences, as in :func:`seqlight.export`.

    Returns
    -------
    pandas.DataFrame
        In the order of the caller, with its columns (example_idx, start, end, attribution, and p-value of the
        recursive caller); before them `target`, where several were explained; behind them mean_attribution (of a
        position), name (of the row, if rows have names), chrom, genome_start, genome_end and strand (if rows have
        loci), sequence (if the run kept sequences), and with `known` the columns of `annotate_seqlets`.
    pandas.DataFrame or None
        With a control, the estimated false discovery rate at each threshold.
    """
    n = count_targets(results)
    if known is not None:
        _require_nucleotides(results, alphabet)
    if options.control is not None:
        _require_same_run(results, options.control)
    targets = range(n) if n is not None and target is None else [target]
    tables, rates = [], []
    for one in targets:
        track = summed_track(results, one)
        found, curve = _call(track, options, one)
        tables.append(found if n is None else found.assign(target=one)[["target", *found]])
        rates += [] if curve is None else [curve if n is None else curve.assign(target=one)[["target", *curve]]]
    table = _described(pd.concat(tables, ignore_index=True), ExportJob(results, results.path, None, alphabet), options)
    if known is not None:
        table = _named(table, options.core_flank, known)
    return table, pd.concat(rates, ignore_index=True) if rates else None


def summed_track(results: Results, target: int | None) -> NDArray[Any]:
    """Return the attributions of all rows at a target, summed over letters, of shape (rows, positions)."""
    column = target_column(results, "attributions", target)
    track = np.empty((column.shape[0], column.shape[2]), np.float32 if column.dtype.itemsize <= 4 else np.float64)
    first = 0
    for block in column.summed():
        track[first : first + len(block)] = block
        first += len(block)
    return track


def _require_same_run(results: Results, control: Results) -> None:
    """Raise InputError if a control was computed in another way, or with another model."""
    differences = [
        one
        for one in control.manifest.differences(results.manifest)
        if one.startswith(("method", "model")) and not one.startswith(BESIDE)
    ]
    if differences:
        raise InputError(
            f"the control in {control.path} differs from {results.path} in {'; '.join(differences)}: attribute "
            "shuffled sequences with the same model and options."
        )


def _call(track: NDArray[Any], options: SeqletOptions, target: int | None) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    given = dict(options.options)
    if options.caller == "tfmodisco":
        given |= {} if options.fdr is None else {"target_fdr": options.fdr}
        return tfmodisco_seqlets(track, **given), None
    if options.control is None:
        return recursive_seqlets(track, **given), None
    control = summed_track(options.control, target)
    if track.any() and control.shape == track.shape and np.allclose(control, track, 0, 1e-4 * np.abs(track).max()):
        raise InputError(
            f"the control in {options.control.path} has the same attributions, of sequences that were not shuffled: "
            "expected those of shuffled ones, by the same command with `--shuffled` and another `--out`."
        )
    found = recursive_seqlets(track, **given, X_control=control, target_fdr=options.fdr, return_fdr=True)
    return found.seqlets, found.fdr


def _described(table: pd.DataFrame, job: ExportJob, options: SeqletOptions) -> pd.DataFrame:
    """Return the table with the mean, the name of the row, its place in the genome, and its sequence."""
    core = table["end"] - table["start"]
    if options.caller == "tfmodisco":
        core = core - 2 * options.core_flank
    return add_texts(add_places(table.assign(mean_attribution=table["attribution"] / core), job), job)


def _named(table: pd.DataFrame, flank: int, known: Motifs) -> pd.DataFrame:
    """Return the table with the most similar motif of each seqlet, without its flanks; U is T there."""
    texts = [text[flank : len(text) - flank].replace("U", "T") for text in table["sequence"]]
    return table.assign(**annotate_texts(texts, known))


def _require_nucleotides(results: Results, alphabet: str | None) -> None:
    """Raise InputError if sequences cannot be compared with known motifs."""
    if "sequences" not in results:
        raise InputError(
            f"the run in {results.path} did not keep its sequences, to compare with motifs: attribute again."
        )
    n = results["sequences"].shape[1]
    if n != 4:
        raise InputError(f"{results.path} has sequences of {n} letters, and known motifs four: leave `motifs` out.")
    letters = ExportJob(results, results.path, None, alphabet).letters("sequences", "a table of seqlets")[:-1]
    if sorted(letters.replace("U", "T")) != sorted(DNA.letters):
        raise InputError(
            f"{results.path} has sequences in {letters}, and known motifs A, C, G and T: leave `motifs` out."
        )
