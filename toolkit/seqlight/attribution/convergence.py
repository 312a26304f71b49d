"""Whether what attributions miss is rounding: the worst pair once more, in float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from seqlight.attribution.contributions import Misses
from seqlight.attribution.explainer import Explaining


def miss_in_float64(
    job: Explaining, misses: Misses, overrides: Mapping[Any, Callable[..., Any]] | None = None
) -> float | None:
    """Return by how much the worst pair misses in float64, or None where that cannot be computed.

    A large last layer may add numbers that nearly cancel. Then a model of float32 has not the digits for its own output
    difference, and nobody can tell so from attributions, whose sum is as far off.

    Parameters
    ----------
    job : Explaining
        What missed, of a model that is not borrowed any more.
    misses : Misses
        Of it.
    overrides : mapping, optional
        Rules of the caller's own.
    """
    i, target, references = misses.worst_pair
    try:
        again = Explaining(job.model, job.inputs, job.args, job.targets, 1, job.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with again.running(torch.float64, overrides):
                block = again.block(i, i + 1, [one[None, None] for one in references])
    except Exception:  # no float64 on this device, too little memory ...: this is to explain a warning, not to raise
        return None
    return float(block.misses[0, target, 0])
