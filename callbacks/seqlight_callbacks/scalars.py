"""The numbers that an epoch's attributions come to."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.metrics.completeness import convergence_delta
from seqlight.metrics.concentration import entropy_tally, positions_tally
from seqlight.metrics.motif_share import motif_window_share
from seqlight.metrics.similarity import attribution_similarity
from seqlight_callbacks.methods import COMPARING, Method
from seqlight_callbacks.records import AttributionRecord


def numbers_of(
    record: AttributionRecord,
    last: AttributionRecord | None = None,
    given: Tensor | None = None,
    window: tuple[int, int] | None = None,
) -> dict[str, float]:
    """Return the numbers to log, under names that are the same for every epoch of a training.

    Parameters
    ----------
    record : AttributionRecord
        Of this epoch.
    last : AttributionRecord, optional
        Of the one before.
    given : torch.Tensor, shape (sequences, letters, positions), optional
        Attributions to compare with.
    window : tuple of int, optional
        Where attribution is hoped to be.

    Returns
    -------
    dict of str to float
        NaN where an attribution is.

    Examples
    --------
    >>> import torch
    >>> from seqlight_callbacks import AttributionRecord
    >>> even = AttributionRecord(1, torch.full((2, 4, 10), 0.25), torch.zeros(2))
    >>> {name: round(number, 6) for name, number in numbers_of(even).items()}
    {'magnitude': 1.0, 'entropy': 2.302585, 'effective_positions': 10.0, 'similarity': 0.0}
    """
    track = record.attributions.double().sum(dim=1)
    numbers: dict[str, float] = {}
    if record.reference_outputs is not None:
        explained = record.attributions, record.outputs, record.reference_outputs
        numbers["delta"] = float(convergence_delta(*explained, kind="max"))
        numbers["relative_delta"] = float(convergence_delta(*explained, kind="relative"))
    numbers["magnitude"] = float(track.abs().mean())
    # A sequence without any attribution counts, with 0: what is monitored had better be a number.
    numbers["entropy"] = float(entropy_tally(track).top.mean())
    numbers["effective_positions"] = float(positions_tally(track).top.mean())
    if record.standard_error is not None:
        error, size = _root_mean_square(record.standard_error), _root_mean_square(track)
        numbers |= {"standard_error": error, "relative_standard_error": error / max(size, 1e-30)}
    numbers["similarity"] = 0.0
    if last is not None:
        numbers["similarity"] = float(attribution_similarity(record.attributions, last.attributions))
    if given is not None:
        numbers["agreement"] = float(attribution_similarity(record.attributions, given))
    if window is not None:
        numbers["window_share"] = float(motif_window_share(record.attributions, *window))
    return numbers


def names_of(
    method: Method, references: Tensor, given: Tensor | None = None, window: tuple[int, int] | None = None
) -> list[str]:
    """Return the names of the numbers that each record has, before there is one.

    Parameters
    ----------
    method : str
        How the records are made.
    references : torch.Tensor, shape (sequences, references, letters, positions)
        What sequences are compared with.
    given, window
        As in :func:`numbers_of`.

    Examples
    --------
    >>> names_of("ism", torch.zeros(2, 5, 4, 10))
    ['magnitude', 'entropy', 'effective_positions', 'similarity']
    """
    n, several, _, positions = references.shape
    compared = method in COMPARING
    blank = AttributionRecord(
        0,
        torch.zeros(n, *references.shape[2:]),
        torch.zeros(n),
        torch.zeros(n, several) if compared else None,
        torch.zeros(n, positions) if compared and several > 1 else None,
    )
    return list(numbers_of(blank, None, given, window))


def _root_mean_square(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
