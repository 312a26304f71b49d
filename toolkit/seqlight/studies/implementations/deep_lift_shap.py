"""Our own DeepLIFT/SHAP."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from seqlight.attribution.methods.deeplift import deep_lift_shap
from seqlight.studies.implementations.implementation import Implementation


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return those of :func:`seqlight.deep_lift_shap`, with all defaults."""
    raw = deep_lift_shap(model, X, args, target, references=references, raw_outputs=True, device="cpu")
    return ((X.unsqueeze(1) - references) * cast(Tensor, raw)).sum(dim=2)


SEQLIGHT = Implementation(
    name="seqlight",
    title="seqlight",
    package="seqlight",
    contributions=_contributions,
    complete=True,
    hypothetical=True,
    refusals=(r"UnsupportedOperation: ", r"InputError: "),
)
