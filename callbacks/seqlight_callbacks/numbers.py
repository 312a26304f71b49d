"""The numbers that an epoch's attributions come to."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlight.metrics.attribution import convergence, similarity, window_share
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
        miss = convergence(record.attributions, record.outputs, record.reference_outputs)
        numbers |= {"delta": miss.largest, "relative_delta": miss.relative}
    numbers["magnitude"] = float(track.abs().mean())
    entropies, positions = _spread(track)
    numbers |= {"entropy": float(entropies.mean()), "effective_positions": float(positions.mean())}
    if record.standard_error is not None:
        error, size = _root_mean_square(record.standard_error), _root_mean_square(track)
        numbers |= {"standard_error": error, "relative_standard_error": error / max(size, 1e-30)}
    numbers["similarity"] = 0.0 if last is None else similarity(record.attributions, last.attributions)
    if given is not None:
        numbers["agreement"] = similarity(record.attributions, given)
    if window is not None:
        numbers["window_share"] = window_share(record.attributions, *window)
    return numbers


def _spread(track: Tensor) -> tuple[Tensor, Tensor]:
    """Return the entropy in nats of each sequence's absolute attribution, and over how many positions it is spread.

    The latter is as many equal ones as have that entropy; none where there is no attribution.
    """
    size = track.abs()
    shares = size / size.sum(dim=1, keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)
    entropies = torch.special.entr(shares).sum(dim=1)
    # Asked this way round, NaN stays what it is.
    return entropies, torch.where(size.amax(dim=1) == 0, torch.zeros_like(entropies), entropies.exp())


def _root_mean_square(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
