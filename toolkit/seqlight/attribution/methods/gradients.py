"""Input times gradient: the fastest attribution method, and the most local one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlight.attribution.arguments import check_arguments
from seqlight.attribution.contributions import result_dtype
from seqlight.attribution.engine.graph_check import require_path
from seqlight.attribution.explanation import Explanation
from seqlight.attribution.gradient_context import (
    borrow_with_gradients,
    compute_gradients,
    without_cudnn_recurrence,
)
from seqlight.attribution.targets import Targets
from seqlight.prediction.batch_size import AskedBatchSize
from seqlight.prediction.device_dtypes import has_float64
from seqlight.prediction.float32_precision import Precision, hold_precision
from seqlight.prediction.input_errors import explain_input_errors
from seqlight.prediction.outputs import OutputCollector
from seqlight.prediction.progress import open_progress
from seqlight.prediction.row_independence.check import pair_runner, require_independent_rows
from seqlight.targets.contrast import Target


def input_x_gradient(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    target: Target = 0,
    *,
    batch_size: AskedBatchSize = "auto",
    correction: bool = True,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    precision: Precision = None,
    verbose: bool = False,
) -> Explanation:
    """Attribute by the gradient of an output with respect to the sequence, times the sequence.

    The letters at a position are one-hot: they sum to 1, and a model is never trained on anything else. The component
    of the gradient that points out of that plane, its mean over letters, is therefore arbitrary, and is subtracted. The
    model is used in evaluation mode and returned exactly as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``; anything that autograd can differentiate.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence.
    target : int, tuple of int, torch.Tensor, callable, Contrast, str, or list of these
        What to explain, as in :func:`seqlight.attribute`.
    batch_size : int or "auto"
        Sequences per batch, as in :func:`seqlight.predict`. It does not change the result.
    correction : bool
        Subtract the mean over letters from the gradient.
    dtype, device, precision, verbose
        As in :func:`seqlight.deep_lift_shap`.

    Returns
    -------
    Explanation
        On the CPU, in float64 if the model computes in it, else in float32. `hypothetical` is the gradient, corrected
        or not; there are no references, deltas or standard errors.

    Raises
    ------
    InputError
        If an argument cannot be used.
    OutOfMemory
        If the device has not enough memory for a single sequence.
    UnsupportedOperation
        If autograd finds no path from the output to `X`.

    Warns
    -----
    MemoryWarning
        If fewer sequences at a time fit into memory than `batch_size`.

    References
    ----------
    Majdandzic, Rajesh and Koo (2023), Correcting gradient-based interpretations of deep neural networks for
    genomics.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from seqlight import input_x_gradient
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3), torch.nn.GELU())
    >>> input_x_gradient(model, sl.random_one_hot((2, 4, 20)), target=1)
    Explanation by input_x_gradient
      attributions, hypothetical: (2, 4, 20) float32
      outputs: (2,) float32
    """
    checked = check_arguments(model, X, args, batch_size, dtype, device, precision)
    X, targets = checked.X, Targets(target, len(checked.X))
    collected = OutputCollector(len(X))

    def explain(first: int, last: int) -> list[Tensor]:
        rows = torch.arange(first, last, device="cpu")
        inputs = checked.inputs(rows)
        return _fields(*_gradients(model, inputs, targets, rows), inputs[0].detach(), correction)

    with (
        hold_precision(checked.precision, checked.device),
        borrow_with_gradients(model, X, checked.device, checked.dtype),
        without_cudnn_recurrence(model, checked.device),
        open_progress(len(X), "sequences", show=verbose) as bar,
    ):
        for found, n in checked.size.parts(0, len(X), explain):
            if not collected.done:
                row = [one.clone() for one in checked.inputs(torch.arange(1, device="cpu"))]
                again = pair_runner(model, row, lambda some, which: targets.read_model(model, some, which))
                require_independent_rows(model, again, found[-1][:1], checked.size.rows)
            collected.add(found if targets.several else [one.squeeze(1) for one in found], n)
            bar.update(n)
            del found
    checked.size.warn_if_reduced(stacklevel=2)
    return Explanation("input_x_gradient", *collected.result())


def _gradients(model: nn.Module, inputs: Sequence[Tensor], targets: Targets, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs (rows, targets) and their gradients at the first input (rows, targets, letters, positions)."""
    leaf = inputs[0].detach().requires_grad_()
    # A clone, because a model may write to its input, and writing to a leaf is an error.
    with explain_input_errors(inputs):
        outputs = targets.read_model(model, [leaf.clone(), *inputs[1:]], rows)
    require_path(outputs, [leaf])
    found = [gradient for (gradient,) in compute_gradients(outputs, [leaf])]
    return outputs.detach(), torch.stack(found, dim=1)


def _fields(outputs: Tensor, gradients: Tensor, X: Tensor, correction: bool) -> list[Tensor]:
    """Return attributions, hypothetical attributions and outputs, on the device if it has float64."""
    dtype = result_dtype(gradients)
    gradients = (gradients if has_float64(gradients.device) else gradients.cpu()).double()
    hypothetical = gradients - gradients.mean(dim=-2, keepdim=True) if correction else gradients
    return [(hypothetical * X.to(hypothetical).unsqueeze(1)).to(dtype), hypothetical.to(dtype), outputs]
