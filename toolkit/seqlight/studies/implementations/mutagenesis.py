"""Our own saturation mutagenesis."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis
from seqlight.studies.implementations.implementation import Implementation


def _contributions(
    model: nn.Module, X: Tensor, references: Tensor, args: tuple[Tensor, ...], target: int, random_state: int
) -> Tensor:
    """Return the output with the letter of the sequence minus the mean over letters, (rows, positions)."""
    return cast(Tensor, saturation_mutagenesis(model, X, args, target=target, device="cpu")).sum(dim=1)


MUTAGENESIS = Implementation(
    name="mutagenesis",
    title="saturation mutagenesis",
    package="seqlight",
    contributions=_contributions,
    hypothetical=True,
    refusals=(r"UnsupportedOperation: ", r"InputError: "),
)
