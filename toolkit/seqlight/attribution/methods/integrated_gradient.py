"""Integrated gradients: Captum's, averaged over references, in the record that every method here returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.contributions import Block, block_of, more_references
from seqlight.attribution.explanation import Explanation
from seqlight.attribution.explanation_builder import explanation
from seqlight.attribution.gradient_context import (
    differentiable,
    require_dependence,
    rows_in_batches,
    without_cudnn_recurrence,
)
from seqlight.attribution.reference_sampling import Sampling
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Target, Targets
from seqlight.errors import InputError
from seqlight.prediction.arguments import as_dtype, choose_device, require_inputs, require_module
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.inputs import InputConversion, explain_dtype_errors
from seqlight.prediction.row_independence.check import pair_runner, require_independent_rows
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle

METHODS = ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid")


def integrated_gradients(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    target: Target = 0,
    *,
    batch_size: int = 32,
    references: Tensor | ReferenceFunction = dinucleotide_shuffle,
    n_shuffles: int = 20,
    n_steps: int = 50,
    method: str = "gausslegendre",
    multipliers: bool = False,
    keep_references: bool = True,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    random_state: int | None = None,
    verbose: bool = False,
) -> Explanation:
    """Attribute by the mean gradient on the straight line from each reference to the sequence.

    The integral is Captum's, as are its names. It is approximate: `deltas` says by how much each pair misses the
    difference of its outputs, and more steps make that smaller. The model is used in evaluation mode and given
    back exactly as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``; anything that autograd can differentiate.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence; the references get the same.
    target : int, tuple of int, torch.Tensor, callable, Contrast, or list of these
        What to explain, as in :func:`seqlight.attribute`. Each of a list costs as much as one alone.
    batch_size : int
        Points on lines at a time. It does not change the result.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        As in :func:`seqlight.deep_lift_shap`, with the same seeds: what it compares with is the same.
    n_shuffles : int
        References a sequence, where they come from a function.
    n_steps : int
        Points on each line.
    method : "gausslegendre", "riemann_left", "riemann_right", "riemann_middle" or "riemann_trapezoid"
        Where they are and how much they count. Captum's weights of "riemann_trapezoid" sum to 1 - 1 / `n_steps`.
    multipliers : bool
        Keep the mean gradients of each reference.
    keep_references : bool
        Keep the references.
    dtype : torch.dtype or str, optional
        To compute in; None for the model's own, but float32 for a model in half precision. Captum keeps its weights
        in float32 also where all else is float64, so that what adds up there does so to seven digits.
    device : str or torch.device, optional
        Where to run; None for CUDA, then MPS, then the CPU.
    random_state : int, optional
        The seed of the first reference; None for a fresh one.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    Explanation
        On the CPU.

    Raises
    ------
    InputError
        If an argument cannot be used.
    UnsupportedOperation
        If the output does not depend on `X` in a way that autograd sees.

    References
    ----------
    Sundararajan, Taly and Yan (2017), Axiomatic Attribution for Deep Networks. Several references: Erion et al.
    (2021), Improving performance of deep learning models with axiomatic attribution priors and expected gradients.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from seqlight import integrated_gradients
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3), torch.nn.Sigmoid())
    >>> found = integrated_gradients(model, sl.random_one_hot((2, 4, 20)), n_shuffles=5, random_state=0)
    >>> bool(found.relative_deltas.max() < 1e-3)
    True
    """
    require_module(model)
    X, inputs = require_inputs(X, args)
    drawn = References(references, X, require_count(n_shuffles, "n_shuffles", least=1), random_state)
    size, where = require_count(batch_size, "batch_size", least=1), choose_device(device)
    job = Integrating(model, [X, *inputs], target, size, where, n_steps, method)
    with differentiable(model, X, where, as_dtype(dtype)), without_cudnn_recurrence(model, where):
        return explanation(
            "integrated_gradients", job, Sampling(drawn), Targets(target, len(X)),
            multipliers=multipliers, references=keep_references, verbose=verbose,
        )  # fmt: skip


class Integrating:
    """A model, what goes into it, and along which points its gradients are integrated.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(*inputs)``, already borrowed.
    inputs : sequence of torch.Tensor, with a row for each sequence
        The first is explained.
    target : any target of :func:`seqlight.attribute`
        What to read from the output.
    batch_size : int
        Points at a time.
    device : torch.device
        Where to run.
    n_steps, method
        As Captum has them.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Sequence[Tensor],
        target: Target,
        batch_size: int,
        device: torch.device,
        n_steps: int,
        method: str,
    ) -> None:
        if method not in METHODS:
            raise InputError(f"method is {method!r}: expected one of {', '.join(METHODS)}.")
        self.n_steps = require_count(n_steps, "n_steps", least=1 if method == "gausslegendre" else 2)
        self.model, self.inputs, self.method = model, list(inputs), method
        self.batch_size, self.device = batch_size, device
        self.conversion = InputConversion(self.inputs[1:], explained=1)
        self.checked = False
        several = target if isinstance(target, list) else [target]
        self.targets = [Targets(one, len(inputs[0])) for one in several]

    def rows(self, n: int) -> Iterator[tuple[int, int]]:
        """Return which sequences make a batch with `n` references each: the first, and the one behind the last."""
        return rows_in_batches(len(self.inputs[0]), self.batch_size, n)

    def block(self, first: int, last: int, references: Sequence[Tensor]) -> Block:
        """Explain the sequences ``first <= i < last`` against references of shape (sequences, references, ...)."""
        rows, parts = torch.arange(first, last, device="cpu"), []
        x, *args = self._of(rows)
        with torch.no_grad():
            outputs = self._read(x, args, rows)
        if not self.checked:
            first_row = [one[:1] for one in (x, *args)]
            again = pair_runner(self.model, first_row, lambda some, which: self._read(some[0], some[1:], which + first))
            require_independent_rows(self.model, again, outputs[:1], self.batch_size)
            self.checked = True
        for chunk in torch.split(references[0], max(1, self.batch_size // len(rows)), dim=1):
            # The reference index is the major one, as `block_of` has it.
            repeated = rows.repeat(chunk.shape[1])
            flat = chunk.transpose(0, 1).flatten(0, 1).to(x)
            xs, *args = self._of(repeated)
            with torch.no_grad():
                baselines = self._read(flat, args, repeated)
            m = [[self._integral(targets, xs, flat, args, repeated)] for targets in self.targets]
            parts.append(block_of([x], [flat], m, outputs, baselines))
        return more_references(parts)

    def _of(self, rows: Tensor) -> list[Tensor]:
        # Copies, because a model may write to its inputs.
        mine = [one.detach()[rows] for one in self.inputs]
        return self.conversion.apply(mine, floating_dtype(self.model, mine[0]), self.device)

    def _read(self, x: Tensor, args: Sequence[Tensor], rows: Tensor) -> Tensor:
        with explain_dtype_errors([x, *args]):
            output = self.model(*(one.clone() for one in (x, *args)))
        return torch.cat([targets.read(output, rows) for targets in self.targets], dim=1)

    def _integral(self, targets: Targets, x: Tensor, flat: Tensor, args: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Return the mean gradient from each of the references `flat` to the sequence `x` that it belongs to."""
        # Here, for Captum takes a second to import.
        from captum.attr import IntegratedGradients

        def forward(*points: Tensor) -> Tensor:
            # Clones, because a model may write to its inputs, and into a leaf nobody may.
            y = targets.read(self.model(*(one.clone() for one in points[:-1])), points[-1])
            require_dependence(y)
            return y.squeeze(1)

        found: Any = IntegratedGradients(forward, multiply_by_inputs=False).attribute(
            x,
            baselines=flat,
            additional_forward_args=(*args, rows),
            n_steps=self.n_steps,
            method=self.method,
            internal_batch_size=max(self.batch_size, len(x)),
        )
        return torch.as_tensor(found, device="cpu")
