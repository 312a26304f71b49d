"""Occlusion of Captum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.pairs import PAIRS_AT_ONCE, has_columns


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return those of ``captum.attr.Occlusion``, one position at a time set to zero, (rows, positions).

    The window has no default; all letters of a position are the smallest one that hides a character.
    """
    from captum.attr import Occlusion

    explainer = Occlusion(model)
    column = target if has_columns(model, X, args) else None
    found = []
    for some in torch.split(torch.arange(len(X)), PAIRS_AT_ONCE):
        more = tuple(one[some] for one in args) or None
        window = (X.shape[1], 1)
        one = explainer.attribute(X[some], window, target=column, additional_forward_args=more)
        # All letters of a position get the same number, in float32 whatever the model computes in.
        found.append(one.detach()[:, 0])
    return torch.cat(found).to(X.dtype)


CAPTUM_OCCLUSION = Implementation(
    name="captum-occlusion",
    title="Captum's occlusion",
    package="captum",
    contributions=_contributions,
    modules=("captum.attr",),
    by_default=False,
)
