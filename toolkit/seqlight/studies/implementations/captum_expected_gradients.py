"""Expected gradients of Captum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.implementations.captum_deeplift import REQUIRES_GRADIENT
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.pairs import has_columns
from seqlight.studies.implementations.seed import seed_generators


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return those of ``captum.attr.GradientShap``, with all defaults, (rows, positions).

    Each is the mean over five points between the sequence and references drawn at random. A call takes one set of
    references for all sequences, so it is called once for each sequence, with its own.
    """
    from captum.attr import GradientShap

    explainer = GradientShap(model)
    column = target if has_columns(model, X, args) else None
    found = []
    with seed_generators(random_state):
        for i, baselines in enumerate(references):
            more = tuple(one[i : i + 1] for one in args) or None
            one = explainer.attribute(X[i : i + 1], baselines, target=column, additional_forward_args=more)
            found.append(one.detach())
    return torch.cat(found).sum(dim=1)


CAPTUM_EXPECTED_GRADIENTS = Implementation(
    name="captum-expected-gradients",
    title="Captum's expected gradients",
    package="captum",
    contributions=_contributions,
    approximate=True,
    modules=("captum.attr",),
    routine_warnings=(REQUIRES_GRADIENT,),
    by_default=False,
)
