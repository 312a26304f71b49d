"""SmoothGrad of Captum."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from seqlight.studies.implementations.captum_deeplift import REQUIRES_GRADIENT
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.pairs import PAIRS_AT_ONCE, has_columns
from seqlight.studies.implementations.seed import seed_generators


def _contributions(
    model: nn.Module,
    X: Tensor,
    references: Tensor,
    args: tuple[Tensor, ...],
    target: int,
    random_state: int,
    noise: float = 1.0,
    copies: int = 5,
) -> Tensor:
    """Return those of ``captum.attr.NoiseTunnel`` over ``Saliency``, with all defaults, (rows, positions).

    Each is the mean magnitude of the gradient of noisy copies, five by default, the noise with a standard deviation of
    1. Of the four letters, that of the sequence counts.
    """
    from captum.attr import NoiseTunnel, Saliency

    explainer = NoiseTunnel(Saliency(model))
    column = target if has_columns(model, X, args) else None
    found = []
    with seed_generators(random_state):
        for some in torch.split(torch.arange(len(X)), PAIRS_AT_ONCE):
            more = tuple(one[some] for one in args) or None
            one = explainer.attribute(
                X[some], nt_samples=copies, stdevs=noise, target=column, additional_forward_args=more
            )
            found.append(one.detach())
    return (torch.cat(found) * X).sum(dim=1)


CAPTUM_SMOOTHGRAD = Implementation(
    name="captum-smoothgrad",
    title="Captum's SmoothGrad",
    package="captum",
    contributions=_contributions,
    modules=("captum.attr",),
    signed=False,
    routine_warnings=(REQUIRES_GRADIENT,),
    by_default=False,
)


def quiet_smoothgrad(noise: float = 0.15, copies: int = 25) -> Implementation:
    """Return SmoothGrad with another noise than Captum's default.

    Parameters
    ----------
    noise : float
        The standard deviation; the paper on SmoothGrad recommends 0.1 to 0.2 of the range of the inputs, which is 1.
    copies : int
        How many noisy copies of each sequence.

    Examples
    --------
    >>> quiet_smoothgrad(0.1).title
    "Captum's SmoothGrad, noise 0.1"
    """
    return Implementation(
        name=f"captum-smoothgrad-{noise:g}",
        title=f"Captum's SmoothGrad, noise {noise:g}",
        package="captum",
        contributions=partial(_contributions, noise=noise, copies=copies),
        modules=("captum.attr",),
        signed=False,
        routine_warnings=(REQUIRES_GRADIENT,),
    )
