"""Integrated gradients: those of Captum, averaged over references, as an Explanation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.arguments import CheckedArguments, check_arguments
from seqlight.attribution.block_queue import BlockQueue, ReducedBlock
from seqlight.attribution.contributions import Block, Pairs, concatenate_references, make_block
from seqlight.attribution.engine.graph_check import require_path
from seqlight.attribution.explanation import Explanation
from seqlight.attribution.explanation_builder import build_explanation
from seqlight.attribution.gradient_context import (
    borrow_with_gradients,
    without_cudnn_recurrence,
)
from seqlight.attribution.reductions import Reduction
from seqlight.attribution.reference_count import ReferenceSampler
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError
from seqlight.prediction.batch_size import AskedBatchSize
from seqlight.prediction.float32_precision import Precision, hold_precision
from seqlight.prediction.input_errors import explain_input_errors
from seqlight.prediction.row_independence.check import pair_runner, require_independent_rows
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.targets.contrast import Target
from seqlight.targets.registry import read_text

METHODS = ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid")


def integrated_gradients(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    target: Target = 0,
    *,
    batch_size: AskedBatchSize = "auto",
    references: Tensor | ReferenceFunction = dinucleotide_shuffle,
    n_shuffles: int = 20,
    n_steps: int = 50,
    method: str = "gausslegendre",
    multipliers: bool = False,
    keep_references: bool = True,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    precision: Precision = None,
    random_state: int | None = None,
    verbose: bool = False,
) -> Explanation:
    """Attribute by the mean gradient on the straight line from each reference to the sequence.

    The integral is computed by Captum, and the arguments have Captum's names. It is approximate: `deltas` says by how
    much the contributions of each pair differ from its output difference, and more steps make that smaller. The model
    is used in evaluation mode and returned exactly as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``; anything that autograd can differentiate.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence; its references get the same row.
    target : int, tuple of int, torch.Tensor, callable, Contrast, str, or list of these
        What to explain, as in :func:`seqlight.attribute`. Each target of a list costs as much as a single one.
    batch_size : int or "auto"
        Points on lines per batch, as in :func:`seqlight.predict`. It does not change the result.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        What to compare with, as in :func:`seqlight.deep_lift_shap`; the same seeds give the same references.
    n_shuffles : int
        References per sequence, if `references` is a function.
    n_steps : int
        Points on each line.
    method : "gausslegendre", "riemann_left", "riemann_right", "riemann_middle" or "riemann_trapezoid"
        Where the points are, and their weights. Captum's weights for "riemann_trapezoid" sum to 1 - 1 / `n_steps`.
    multipliers : bool
        Keep the mean gradient of each reference.
    keep_references : bool
        Keep the references.
    dtype : torch.dtype or str, optional
        The dtype to compute in. None for the model's own, but float32 for a model in half precision. Captum's weights
        are in float32 even if everything else is in float64, so sums are right to seven digits at most.
    device, precision, random_state, verbose
        As in :func:`seqlight.deep_lift_shap`.

    Returns
    -------
    Explanation
        On the CPU.

    Raises
    ------
    InputError
        If an argument cannot be used.
    OutOfMemory
        If the device has not enough memory for a single point.
    UnsupportedOperation
        If autograd finds no path from the output to `X`.

    Warns
    -----
    MemoryWarning
        If fewer points at a time fit into memory than `batch_size`.

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
    checked = check_arguments(model, X, args, batch_size, dtype, device, precision)
    n = require_count(n_shuffles, "n_shuffles", least=1)
    sampler = ReferenceSampler(References(references, checked.X, n, random_state))
    integrator = GradientIntegrator(checked, target, n_steps, method)
    with (
        hold_precision(checked.precision, checked.device),
        borrow_with_gradients(model, checked.X, checked.device, checked.dtype),
        without_cudnn_recurrence(model, checked.device),
    ):
        found = build_explanation(
            "integrated_gradients", integrator, sampler, Targets(target, len(checked.X)),
            multipliers=multipliers, references=keep_references, verbose=verbose,
        )  # fmt: skip
    checked.size.warn_if_reduced(stacklevel=2)
    return found


class GradientIntegrator:
    """Integrates the gradients of a borrowed model from references to sequences, a block of sequences at a time.

    Parameters
    ----------
    checked : CheckedArguments
        The model and its inputs, of which the first is explained.
    target : any target of :func:`seqlight.attribute`
        What to read from the output.
    n_steps, method
        As in Captum.
    """

    def __init__(self, checked: CheckedArguments, target: Target, n_steps: int, method: str) -> None:
        if method not in METHODS:
            raise InputError(f"method is {method!r}: expected one of {', '.join(METHODS)}.")
        # Imported here because Captum takes a second to import; and before there are tensors, for the errors that some
        # of its imports meet and ignore stay alive for a while, with the frames of all callers.
        import captum.attr

        self._captum: Any = captum.attr
        self.n_steps = require_count(n_steps, "n_steps", least=1 if method == "gausslegendre" else 2)
        self.checked, self.model, self.method = checked, checked.model, method
        self.device, self.size, self.revision, self.rows_checked = checked.device, checked.size, 0, False
        target = read_text(target)
        several = target if isinstance(target, list) else [target]
        self.every_target = Targets(several, len(checked.X))
        self.targets = [Targets(one, len(checked.X)).without_constants("integrated_gradients") for one in several]

    def batches(self, n: int) -> Iterator[tuple[int, int]]:
        """Yield the sequences ``first <= i < last`` of each batch, where each has `n` references."""
        return self.size.ranges(len(self.checked.X), n)

    def explain(self, pairs: Iterable[Pairs], reduction: Reduction) -> Iterator[ReducedBlock]:
        """Integrate for blocks, and yield what is wanted of each; as in Explainer."""
        queue = BlockQueue(self, reduction)
        for some in queue.divide(pairs):
            with queue.trial:
                yield from queue.add(some, self.launch(some))
        yield from queue.rest()

    def launch(self, pairs: Pairs) -> Block:
        """Return the block of some pairs, on the device."""
        first, last, references = pairs
        rows, parts = torch.arange(first, last, device="cpu"), []
        x, *args = self.checked.inputs(rows)
        with torch.no_grad():
            outputs = self._read(x, args, rows)
        if not self.rows_checked:
            self._require_independent_rows([one[:1] for one in (x, *args)], first, outputs)
            self.rows_checked = True
        for chunk in torch.split(references[0], self.size.copies(len(rows)), dim=1):
            # Reference k of sequence i is row k * sequences + i, as `make_block` expects.
            repeated = rows.repeat(chunk.shape[1])
            flat = chunk.transpose(0, 1).flatten(0, 1).to(x)
            xs, *args = self.checked.inputs(repeated)
            with torch.no_grad():
                baselines = self._read(flat, args, repeated)
            m = [[self._integral(targets, xs, flat, args, repeated)] for targets in self.targets]
            parts.append(make_block([x], [flat], m, outputs, baselines))
        return concatenate_references(parts)

    def settle(self, pairs: Pairs, block: Block, figures: Block) -> Block:
        """Return `block`: gradients that do not add up are only approximate."""
        return block

    def forget(self) -> None:
        """Nothing is computed ahead."""

    def _require_independent_rows(self, row: list[Tensor], first: int, outputs: Tensor) -> None:
        """Raise UnsupportedOperation if the output of sequence `first` depends on the other rows of its batch."""
        again = pair_runner(self.model, row, lambda some, which: self._read(some[0], some[1:], which + first))
        require_independent_rows(self.model, again, outputs[:1], self.size.rows)

    def _read(self, x: Tensor, args: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Return the outputs at all targets, shape (rows, targets)."""
        # Copies, because a model may write to its inputs.
        with explain_input_errors([x, *args]):
            return self.every_target.read_model(self.model, [one.clone() for one in (x, *args)], rows)

    def _integral(self, targets: Targets, x: Tensor, flat: Tensor, args: Sequence[Tensor], rows: Tensor) -> Tensor:
        """Return the mean gradient on the line from each reference in `flat` to its sequence in `x`."""

        def forward(*points: Tensor) -> Tensor:
            # Clones, because a model may write to its inputs, and writing to a leaf is an error.
            y = targets.read_model(self.model, [one.clone() for one in points[:-1]], points[-1])
            require_path(y, points[:1])
            return y.squeeze(1)

        found: Any = self._captum.IntegratedGradients(forward, multiply_by_inputs=False).attribute(
            x,
            baselines=flat,
            additional_forward_args=(*args, rows),
            n_steps=self.n_steps,
            method=self.method,
            internal_batch_size=max(self.size.rows, len(x)),
        )
        return torch.as_tensor(found, device=x.device).detach()
