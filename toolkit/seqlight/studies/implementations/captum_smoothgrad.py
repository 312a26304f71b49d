"""SmoothGrad of Captum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.implementations.captum_deeplift import REQUIRES_GRADIENT
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.pairs import PAIRS_AT_ONCE, has_columns
from seqlight.studies.implementations.seed import seed_generators


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return those of ``captum.attr.NoiseTunnel`` over ``Saliency``, with all defaults, (rows, positions).

    Each is the mean magnitude of the gradient of five noisy copies, the noise with a standard deviation of 1. Of the
    four letters, that of the sequence counts.
    """
    from captum.attr import NoiseTunnel, Saliency

    explainer = NoiseTunnel(Saliency(model))
    column = target if has_columns(model, X, args) else None
    found = []
    with seed_generators(random_state):
        for some in torch.split(torch.arange(len(X)), PAIRS_AT_ONCE):
            more = tuple(one[some] for one in args) or None
            found.append(explainer.attribute(X[some], target=column, additional_forward_args=more).detach())
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
