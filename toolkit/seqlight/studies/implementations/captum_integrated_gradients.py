"""Integrated gradients of Captum."""

from __future__ import annotations

from torch import Tensor, nn

from seqlight.studies.implementations.captum_deeplift import REQUIRES_GRADIENT
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.pairs import PAIRS_AT_ONCE, explain_pairs, has_columns


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return those of ``captum.attr.IntegratedGradients``, with all defaults but one: 50 steps, Gauss-Legendre.

    Steps are computed in batches, so that a model gets no more rows at once than from the other implementations.
    """
    from captum.attr import IntegratedGradients

    explainer = IntegratedGradients(model)
    column = target if has_columns(model, X, args) else None

    def explain(X: Tensor, baselines: Tensor, args: tuple[Tensor, ...]) -> Tensor:
        found: Tensor = explainer.attribute(
            X,
            baselines,
            target=column,
            additional_forward_args=args or None,
            internal_batch_size=2 * PAIRS_AT_ONCE,
        )
        return found

    return explain_pairs(X, references, args, explain)


CAPTUM_INTEGRATED_GRADIENTS = Implementation(
    name="captum-integrated-gradients",
    title="Captum's integrated gradients",
    package="captum",
    contributions=_contributions,
    modules=("captum.attr", "numpy.polynomial"),
    complete=True,
    approximate=True,
    routine_warnings=(REQUIRES_GRADIENT,),
)
