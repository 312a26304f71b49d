"""Attribution priors: terms of a loss that say what attributions should look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.methods.differentiable import attributions_and_outputs
from seqlight.attribution.references import ReferenceFunction
from seqlight.attribution.targets import Target
from seqlight.errors import InputError
from seqlight.sequence.shuffles import dinucleotide_shuffle

# From attributions and sequences, both (rows, letters, positions), to a number for each row.
Penalty = Callable[[Tensor, Tensor], Tensor]


class AttributionPrior(nn.Module):
    """A penalty on the attributions of a model, for the loss that it is trained with.

    Attributions are those of :func:`seqlight.differentiable_attributions`, by DeepLIFT, with fresh references in each
    step: ``loss + prior(model, X)`` in any training loop, or ``priors={"name": prior}`` of
    :class:`seqlight.lit.TrainModule`. Autocast is off inside. The seeds of references come from PyTorch's generator.

    Parameters
    ----------
    penalty : callable
        Takes attributions and sequences, both of shape (rows, letters, positions), and returns a number for each row,
        such as the classes in ``seqlight.lit.penalties``.
    weight : float
        What the mean penalty is multiplied by.
    target : int, or any target of :func:`seqlight.attribute`
        Which output is explained: a single target.
    references : callable
        Called as ``references(X, n=1, random_state=seed)``.
    n_references : int
        References per sequence.

    Raises
    ------
    InputError
        If `weight` is negative, or the penalty does not return a number for each row.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from seqlight.lit import AttributionPrior
    >>> from seqlight.lit.penalties import Sparsity
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    >>> prior = AttributionPrior(Sparsity(), weight=0.1)
    >>> prior(model, sl.random_one_hot((3, 4, 20))).backward()
    """

    def __init__(
        self,
        penalty: Penalty,
        weight: float = 1.0,
        target: Target = 0,
        references: ReferenceFunction = dinucleotide_shuffle,
        n_references: int = 1,
    ) -> None:
        super().__init__()
        if not weight >= 0:
            raise InputError(f"weight is {weight}: expected a number that is not negative.")
        self.penalty, self.weight, self.target = penalty, weight, target
        self.references, self.n_references = references, n_references

    def forward(self, model: nn.Module, X: Tensor) -> Tensor:
        """Return `weight` times the mean penalty of one-hot `X`, shape (rows, letters, positions)."""
        return self.with_outputs(model, X)[0]

    def with_outputs(self, model: nn.Module, X: Tensor) -> tuple[Tensor, Any]:
        """Return the same, and what `model` returns for `X` in evaluation mode, with its graph.

        To attribute, the sequences go through the model anyway. If it is the same in training as in evaluation, without
        dropout and batch norm, then the loss can use these outputs, and a step takes one forward and one backward pass
        less.

        Examples
        --------
        >>> import seqlight as sl
        >>> from seqlight.lit.penalties import Sparsity
        >>> model, X = nn.Sequential(nn.Flatten(), nn.Linear(80, 1)), sl.random_one_hot((3, 4, 20))
        >>> term, outputs = AttributionPrior(Sparsity()).with_outputs(model, X)
        >>> (outputs.square().mean() + term).backward()
        """
        seed = int(torch.randint(2**31, ()))
        attributions, outputs = attributions_and_outputs(
            model, X, self.references, self.target, n_shuffles=self.n_references, random_state=seed
        )
        found = self.penalty(attributions, X.to(attributions))
        if found.shape != (len(X),):
            raise InputError(
                f"the penalty returned shape {tuple(found.shape)} for attributions of shape "
                f"{tuple(attributions.shape)}: expected ({len(X)},), a number for each row; pass a single target."
            )
        return self.weight * found.mean(), outputs
