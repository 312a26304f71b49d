"""DeepLIFT of Captum."""

from __future__ import annotations

from torch import Tensor, nn

from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.implementations.pairs import explain_pairs, has_columns
from seqlight.studies.implementations.suspects.captum import find_captum_suspects

# A warning of each call, about gradients of the inputs that it was given.
REQUIRES_GRADIENT = r"UserWarning: Input Tensor \d+ did not already require gradients"


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return those of ``captum.attr.DeepLift``, with all defaults.

    Each row has a baseline of its own. ``DeepLiftShap`` compares all sequences with all baselines, and returns the mean
    over them, so it cannot tell pairs apart.
    """
    from captum.attr import DeepLift

    explainer = DeepLift(model)
    column = target if has_columns(model, X, args) else None

    def explain(X: Tensor, baselines: Tensor, args: tuple[Tensor, ...]) -> Tensor:
        found: Tensor = explainer.attribute(X, baselines, target=column, additional_forward_args=args or None)
        return found

    return explain_pairs(X, references, args, explain)


CAPTUM_DEEPLIFT = Implementation(
    name="captum-deeplift",
    title="Captum's DeepLift",
    package="captum",
    contributions=_contributions,
    modules=("captum.attr",),
    complete=True,
    refusals=(
        r"RuntimeError: A Module .* that are required for DeepLift",
        r"AssertionError: A problem occurred during maxpool modul's backward pass",
        r"AssertionError: The number of .* does not match",
    ),
    routine_warnings=(r"UserWarning: Setting forward, backward hooks and attributes", REQUIRES_GRADIENT),
    suspects=find_captum_suspects,
)
