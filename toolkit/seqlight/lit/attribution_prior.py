"""Attribution priors: terms of a loss that say what attributions should look like."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqlight.attribution.engine.forward_record import ForwardRecord
from seqlight.attribution.methods.differentiable import attributions_and_outputs
from seqlight.attribution.references import ReferenceFunction
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, SeqlightWarning, kind_of
from seqlight.lit.penalties import Distance, Fourier, Sparsity, Window
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.targets.contrast import Contrast, Target
from seqlight.targets.named_target import NamedTarget
from seqlight.targets.registry import as_target

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
        Which output is explained: a single target. A text is read by :func:`seqlight.targets.parse`.
    references : callable
        Called as ``references(X, n=1, random_state=seed)``.
    n_references : int
        References per sequence.

    Raises
    ------
    InputError
        If an argument cannot be used, or the penalty does not return a number for each row.

    Warns
    -----
    SeqlightWarning
        If nothing can be learned from the term: gradients are switched off, unless the prior is in evaluation mode, or
        the penalty returned a constant.

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
        # Classes first: a parser of YAML takes what returns a tensor for a factory of it.
        penalty: Fourier | Sparsity | Window | Distance | Penalty,
        weight: float = 1.0,
        target: Target | NamedTarget | str = 0,
        references: ReferenceFunction = dinucleotide_shuffle,
        n_references: int = 1,
    ) -> None:
        super().__init__()
        if not isinstance(weight, int | float | np.number | Tensor) or not weight >= 0:
            raise InputError(f"weight is {weight!r}: expected a number that is not negative.")
        self.penalty, self.weight, self.references = _require_penalty(penalty), weight, references
        self.target: Target = _require_single(as_target(target))
        self.n_references = require_count(n_references, "n_references", least=1)

    def forward(self, model: nn.Module, X: Tensor, record: ForwardRecord | None = None) -> Tensor:
        """Return `weight` times the mean penalty of one-hot `X`, shape (rows, letters, positions).

        With the record of a forward pass of `model` and `X`, what it computed is not computed again.
        """
        return self._term(model, X, record, stacklevel=6)[0]  # the caller's line, past two of torch.nn.Module

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
        return self._term(model, X, None, stacklevel=4)

    def _term(self, model: nn.Module, X: Tensor, record: ForwardRecord | None, stacklevel: int) -> tuple[Tensor, Any]:
        seed = int(torch.randint(2**31, ()))
        attributions, outputs = attributions_and_outputs(
            model, X, self.references, self.target, n_shuffles=self.n_references, random_state=seed, record=record
        )
        with torch.autocast(attributions.device.type, enabled=False):
            found = self.penalty(attributions, X.to(attributions))
        if not isinstance(found, Tensor):
            raise InputError(f"the penalty returned {kind_of(found)}: expected a tensor with a number for each row.")
        if found.shape != (len(X),):
            raise InputError(
                f"the penalty returned shape {tuple(found.shape)} for attributions of shape "
                f"{tuple(attributions.shape)}: expected ({len(X)},), a number for each row."
            )
        if attributions.requires_grad > found.requires_grad or not torch.is_grad_enabled():
            self._warn_of_constant(stacklevel)
        return self.weight * found.mean(), outputs

    def _warn_of_constant(self, stacklevel: int) -> None:
        """Warn that the term has no graph, unless in evaluation: added to a loss, nothing is learned from it."""
        if not self.training:
            return
        reason = (
            "the penalty returned a constant: compute it from the attributions, without detach() or item()"
            if torch.is_grad_enabled()
            else "gradients are switched off: call it outside of torch.no_grad(), or, to look at it only, after eval()"
        )
        warnings.warn(
            f"nothing is learned from this attribution prior, for {reason}.", SeqlightWarning, stacklevel=stacklevel
        )


def _require_penalty(penalty: Penalty) -> Penalty:
    """Return `penalty`; InputError if it is not a function of attributions and sequences."""
    if isinstance(penalty, type):
        raise InputError(f"penalty is the class {penalty.__name__}: expected one of its objects, {penalty.__name__}().")
    if not callable(penalty):
        raise InputError(
            f"penalty is {kind_of(penalty)}, which cannot be called: expected a function of attributions and "
            "sequences, such as seqlight.lit.penalties.Fourier()."
        )
    try:
        signature = inspect.signature(penalty.forward if isinstance(penalty, nn.Module) else penalty)
    except (TypeError, ValueError):  # some functions in C have no signature
        return penalty
    try:
        signature.bind("attributions", "X")
    except TypeError:
        raise InputError(
            f"the penalty takes {signature}: expected (attributions, X), both of shape (rows, letters, positions)."
        ) from None
    return penalty


def _require_single(target: Target) -> Target:
    """Return `target`; InputError if it is a list, or no target whatever the rows."""
    if isinstance(target, list):
        raise InputError("target is a list: one prior explains one target, so give each a prior of its own.")
    if isinstance(target, Contrast):
        for side in (target.a, target.b):
            if isinstance(side, list):
                raise InputError(
                    f"a side of the contrast is {side!r}: expected one target, such as a number or a text."
                )
            _require_single(as_target(side))
    elif not isinstance(target, Tensor | np.ndarray):
        Targets(target, 1)
    return target
