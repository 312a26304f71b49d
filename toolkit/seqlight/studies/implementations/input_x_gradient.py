"""Our own input times gradient."""

from __future__ import annotations

from torch import Tensor, nn

from seqlight.attribution.methods.gradients import input_x_gradient
from seqlight.studies.implementations.implementation import Implementation


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return the gradient, centred over letters, at the letters of the sequences, (rows, positions)."""
    return input_x_gradient(model, X, args, target, device="cpu").attributions.sum(dim=1)


INPUT_X_GRADIENT = Implementation(
    name="input-x-gradient",
    title="input times gradient",
    package="seqlight",
    contributions=_contributions,
    hypothetical=True,
    refusals=(r"UnsupportedOperation: ", r"InputError: "),
)
