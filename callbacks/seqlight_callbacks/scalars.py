"""The numbers that are logged for each record: those of its attributions, and those of its seqlets."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from seqlight.metrics.completeness import convergence_delta
from seqlight.metrics.concentration import entropy_tally, positions_tally
from seqlight.metrics.consistency import attribution_consistency
from seqlight.metrics.kmer_frequencies import kmer_consistency
from seqlight.metrics.motif_share import motif_window_share
from seqlight.metrics.overlap import overlap
from seqlight.metrics.similarity import attribution_similarity
from seqlight_callbacks.methods import WITH_REFERENCES, Method
from seqlight_callbacks.records import AttributionRecord

# With words of three letters, a few dozen sequences are enough.
KMER = 3


def attribution_scalars(
    record: AttributionRecord,
    previous: AttributionRecord | None = None,
    baseline: Tensor | None = None,
    window: tuple[int, int] | None = None,
    sequences: Tensor | None = None,
) -> dict[str, float]:
    """Return the numbers to log for a record, with the same names at every record of a training.

    Parameters
    ----------
    record : AttributionRecord
        The new record.
    previous : AttributionRecord, optional
        The record before it.
    baseline : torch.Tensor, shape (sequences, letters, positions), optional
        Attributions to compare with.
    window : tuple of int, optional
        Where attribution is expected.
    sequences : torch.Tensor, shape (sequences, letters, positions), optional
        One-hot, for the k-mers under high attribution; without them, there is no ``kmer_consistency``.

    Returns
    -------
    dict of str to float
        NaN where an attribution is NaN.

    Examples
    --------
    >>> import torch
    >>> from seqlight_callbacks import AttributionRecord
    >>> even = AttributionRecord(1, torch.full((2, 4, 10), 0.25), torch.zeros(2))
    >>> {name: round(number, 6) for name, number in attribution_scalars(even).items()}
    {'magnitude': 1.0, 'entropy': 2.302585, 'effective_positions': 10.0, 'consistency': 0.0, 'similarity': 0.0}
    """
    track = record.attributions.double().sum(dim=1)
    scalars: dict[str, float] = {}
    if record.reference_outputs is not None:
        explained = record.attributions, record.outputs, record.reference_outputs
        scalars["delta"] = float(convergence_delta(*explained, kind="max"))
        scalars["relative_delta"] = float(convergence_delta(*explained, kind="relative"))
    scalars["magnitude"] = float(track.abs().mean())
    # A sequence without any attribution counts as 0, since a monitored number should not be NaN.
    scalars["entropy"] = float(entropy_tally(track).top.mean())
    scalars["effective_positions"] = float(positions_tally(track).top.mean())
    if record.standard_error is not None:
        error, size = _root_mean_square(record.standard_error), _root_mean_square(track)
        scalars |= {"standard_error": error, "relative_standard_error": error / max(size, 1e-30)}
    maps = record.attributions if record.hypothetical is None else record.hypothetical
    if maps.shape[2] >= KMER:
        if maps.shape[1] == 4:
            scalars["consistency"] = _zero_if_none(attribution_consistency(maps, KMER), maps)
        if sequences is not None:
            scalars["kmer_consistency"] = _zero_if_none(kmer_consistency(maps, sequences, KMER), maps)
    scalars["similarity"] = 0.0
    if previous is not None:
        scalars["similarity"] = float(attribution_similarity(record.attributions, previous.attributions))
    if baseline is not None:
        scalars["agreement"] = float(attribution_similarity(record.attributions, baseline))
    if window is not None:
        scalars["window_share"] = float(motif_window_share(record.attributions, *window))
    return scalars


def attribution_scalar_names(
    method: Method, references: Tensor, baseline: Tensor | None = None, window: tuple[int, int] | None = None
) -> list[str]:
    """Return the names of the numbers of every record, before there is a record.

    Parameters
    ----------
    method : str
        The method of the records.
    references : torch.Tensor, shape (sequences, references, letters, positions)
        What sequences are compared with.
    baseline, window
        As in :func:`attribution_scalars`.

    Examples
    --------
    >>> attribution_scalar_names("ism", torch.zeros(2, 5, 4, 10))
    ['magnitude', 'entropy', 'effective_positions', 'consistency', 'kmer_consistency', 'similarity']
    """
    n, n_references, letters, positions = references.shape
    compared = method in WITH_REFERENCES
    blank = AttributionRecord(
        0,
        torch.zeros(n, letters, positions),
        torch.zeros(n),
        torch.zeros(n, n_references) if compared else None,
        torch.zeros(n, positions) if compared and n_references > 1 else None,
    )
    return list(attribution_scalars(blank, None, baseline, window, torch.zeros(n, letters, positions)))


def seqlet_scalars(
    seqlets: pd.DataFrame,
    track: Tensor,
    strong: float,
    known: pd.DataFrame | None = None,
    min_overlap: int = 1,
    motifs: Sequence[str] | None = None,
) -> dict[str, float]:
    """Return the numbers to log for the seqlets of a record; those that do not exist, such as a mean of none, are 0.

    Parameters
    ----------
    seqlets : pandas.DataFrame
        Columns example_idx, start, end, attribution, p-value, and with motifs also motif.
    track : torch.Tensor, shape (sequences, positions)
        The attributions in which they were called.
    strong : float
        Seqlets with a smaller p-value are strong.
    known : pandas.DataFrame, optional
        Intervals that seqlets are expected to find.
    min_overlap : int
        Positions that a seqlet and a known interval must share.
    motifs : sequence of str, optional
        The motifs whose matches are counted one by one; None if seqlets were not compared with motifs.

    Examples
    --------
    >>> table = pd.DataFrame({"example_idx": [0], "start": [2], "end": [4], "attribution": [1.0], "p-value": [0.0]})
    >>> seqlet_scalars(table, torch.ones(1, 8), strong=0.1)
    {'count': 1.0, 'mean_length': 2.0, 'attribution_share': 0.25}
    """
    inside = torch.zeros_like(track, dtype=torch.bool)
    for i, start, end in seqlets[["example_idx", "start", "end"]].itertuples(index=False):
        inside[i, start:end] = True
    lengths = seqlets["end"] - seqlets["start"]
    scalars = {
        "count": float(len(seqlets)),
        "mean_length": float(lengths.mean()) if len(seqlets) else 0.0,
        "attribution_share": float(track[inside].abs().sum()) / max(float(track.abs().sum()), 1e-30),
    }
    if known is not None:
        positive = strong_positive_seqlets(seqlets, strong)
        found = overlap(positive, known, min_overlap)
        scalars["recall"] = found.recall if len(known) else 0.0
        scalars["precision"] = found.precision if len(positive) else 0.0
    if motifs is not None:
        compared = seqlets[seqlets["p-value"] < strong]
        counts = compared["motif"].value_counts()
        scalars["matched_share"] = float((compared["motif"] != "").mean()) if len(compared) else 0.0
        scalars |= {f"match/{motif}": float(counts.get(motif, 0)) for motif in motifs}
    return scalars


def seqlet_scalar_names(known: bool, motifs: Sequence[str] | None) -> list[str]:
    """Return the names of the numbers of every table of seqlets, before there is a table.

    Examples
    --------
    >>> seqlet_scalar_names(known=True, motifs=["GATA1"])
    ['count', 'mean_length', 'attribution_share', 'recall', 'precision', 'matched_share', 'match/GATA1']
    """
    empty = pd.DataFrame({"example_idx": [], "start": [], "end": [], "attribution": [], "p-value": [], "motif": []})
    intervals = empty[["example_idx", "start", "end"]].astype(int) if known else None
    return list(seqlet_scalars(empty, torch.zeros(1, 1), 1.0, intervals, motifs=motifs))


def strong_positive_seqlets(seqlets: pd.DataFrame, strong: float) -> pd.DataFrame:
    """Return the seqlets with a p-value below `strong` that raise the output."""
    chosen = (seqlets["p-value"] < strong) & (seqlets["attribution"] > 0)
    return seqlets[chosen].reset_index(drop=True)


def _zero_if_none(found: Tensor, maps: Tensor) -> float:
    """Return a consistency; 0 where there is none to speak of, but not for attributions that are NaN."""
    return 0.0 if bool(found.isnan()) and bool(maps.isfinite().all()) else float(found)


def _root_mean_square(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
