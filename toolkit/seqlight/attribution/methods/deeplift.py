"""DeepLIFT/SHAP: attributions of sequences, averaged over references, as a tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from seqlight.attribution.arguments import check_arguments
from seqlight.attribution.contributions import Block, Pairs
from seqlight.attribution.convergence import ConvergenceCheck
from seqlight.attribution.ensemble_explainer import make_explainer
from seqlight.attribution.reductions import keep_multipliers, reduce_to_mean
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError
from seqlight.notebook.array_lines import array_lines
from seqlight.prediction.batch_size import AskedBatchSize
from seqlight.prediction.float32_precision import Precision, hold_precision
from seqlight.prediction.outputs import OutputCollector
from seqlight.prediction.progress import open_progress
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.targets.contrast import Target


class AttributionsAndReferences(NamedTuple):
    """Attributions, and the references they were computed with.

    Attributes
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions)
    references : torch.Tensor, shape (sequences, references, letters, positions)
    """

    attributions: Tensor
    references: Tensor

    def __repr__(self) -> str:
        return array_lines(type(self).__name__, self._asdict())


def deep_lift_shap(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    target: Target = 0,
    batch_size: AskedBatchSize = "auto",
    references: Tensor | ReferenceFunction = dinucleotide_shuffle,
    n_shuffles: int = 20,
    return_references: bool = False,
    hypothetical: bool = False,
    warning_threshold: float = 0.001,
    additional_nonlinear_ops: Mapping[Any, Callable[..., Any]] | None = None,
    print_convergence_deltas: bool = False,
    raw_outputs: bool = False,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    random_state: int | None = None,
    verbose: bool = False,
    *,
    precision: Precision = None,
) -> Tensor | AttributionsAndReferences:
    """Attribute one output of a model to the characters of each sequence.

    The attributions of a sequence sum to the difference between its output and the mean output of its references. The
    model is used in evaluation mode and returned exactly as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``; returns a tensor of shape (rows, targets) or (rows,).
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence; its references get the same row.
    target : int, or any target of :func:`seqlight.attribute`
        Which output to explain. With a list of targets the result has a second dimension, of targets.
    batch_size : int or "auto"
        Pairs of a sequence and a reference per batch. It does not change the result. "auto" is 32 on the CPU, and on a
        GPU as many as fit into its memory. Where memory runs out, half as many are tried, down to a single one.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        What to compare with. A function is called as ``references(X, n=1, random_state=seed)`` and returns such a
        tensor; reference k of each sequence has the seed ``random_state + k``.
    n_shuffles : int
        References per sequence, if `references` is a function.
    return_references : bool
        Return the references, too.
    hypothetical : bool
        Return what every character would contribute at each position, not only the characters of the sequence.
    warning_threshold : float
        Warn if attributions differ from the output difference by more than this, or by more than 1 % of the mean output
        difference. At the default, what rounding does to outputs of that size does not count.
    additional_nonlinear_ops : mapping, optional
        Rules that override or extend the built-in ones. Each key is a module class, and each value a function of
        ``(module, grad_input, grad_output)`` that returns the gradient to pass on.
    print_convergence_deltas : bool
        Print by how much the attributions of each pair differ from its output difference, a tensor for each batch.
    raw_outputs : bool
        Return the multipliers of each reference, shape (sequences, references, letters, positions).
    dtype : torch.dtype or str, optional
        The dtype to compute in. None for the model's own, but float32 for a model in half precision.
    device : str or torch.device, optional
        Where to run. None for the accelerator that the model lies on, else the current one, such as CUDA or MPS, else
        the CPU.
    precision : "tf32", optional
        On accelerators that have TF32, convolutions and recurrent layers are computed in it: faster, and some percent
        off. None: in float32 to rounding, whatever PyTorch is set to.
    random_state : int, optional
        The seed of the first reference; None for a fresh one.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    torch.Tensor, shape of `X` (unless `raw_outputs`), on the CPU
        With `return_references`, a named tuple of the attributions and the references.

    Raises
    ------
    InputError
        If an argument cannot be used.
    OutOfMemory
        If the device has not enough memory for a single pair.
    UnsupportedOperation
        If the model contains an operation that no rule covers; the message names it and its module.

    Warns
    -----
    ConvergenceWarning
        If attributions do not sum to the output difference.
    MemoryWarning
        If fewer pairs at a time fit into memory than `batch_size`.
    ReferencesWarning
        If a sequence is equal to all of its references.

    References
    ----------
    Shrikumar, Greenside and Kundaje (2017), Learning Important Features Through Propagating Activation
    Differences. Lundberg and Lee (2017), A Unified Approach to Interpreting Model Predictions.

    Examples
    --------
    >>> import torch
    >>> from seqlight import deep_lift_shap, random_one_hot
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1), torch.nn.ReLU())
    >>> deep_lift_shap(model, random_one_hot((2, 4, 20)), random_state=0).shape
    torch.Size([2, 4, 20])
    """
    checked = check_arguments(model, X, args, batch_size, dtype, device, precision)
    X, targets = checked.X, Targets(target, len(checked.X))
    if isinstance(n_shuffles, str):
        raise InputError(f"n_shuffles is {n_shuffles!r}: expected a number; seqlight.attribute takes 'auto'.")
    drawn = References(references, X, require_count(n_shuffles, "n_shuffles", least=1), random_state)
    explainer = make_explainer(model, (X,), checked.args, targets, checked.size)
    draws = return_references and not isinstance(references, Tensor)
    check, collected = ConvergenceCheck(warning_threshold), OutputCollector(len(X))
    with (
        hold_precision(checked.precision, checked.device),
        explainer.borrow_model(checked.dtype, additional_nonlinear_ops),
        open_progress(len(X), "sequences", show=verbose) as bar,
    ):
        ranges, reduction = explainer.batches(drawn.n), keep_multipliers if raw_outputs else reduce_to_mean
        pairs = (Pairs(first, last, [drawn.draw(first, last)]) for first, last in ranges)
        for one in explainer.explain(pairs, reduction):
            first, rows = collected.done, len(one.block.deltas)
            if print_convergence_deltas:
                _print_deltas(one.block, checked.size.copies(rows))
            check.add(one.block)
            (found,) = one.values
            if not (raw_outputs or hypothetical):
                found = found * drawn.X[first : first + rows].unsqueeze(1).to(found.dtype)
            found = found if targets.several else found.squeeze(1)
            collected.add((found, one.block.references[0]) if draws else found, rows)
            bar.update(rows)
    checked.size.warn_if_reduced(stacklevel=2)
    check.warn_if_incomplete(explainer, additional_nonlinear_ops)
    drawn.warn_if_unchanged()
    found = collected.result()
    if not return_references:
        return cast(Tensor, found)
    attributions, kept = (found, references) if isinstance(references, Tensor) else found
    return AttributionsAndReferences(
        attributions, kept.detach().to("cpu", explainer.model_inputs.dtype, copy=not draws)
    )


def _print_deltas(block: Block, at_once: int) -> None:
    """Print the absolute deltas of the pairs, a tensor for each batch."""
    for deltas in torch.split(block.deltas, at_once, dim=2):
        print(deltas.abs().flatten())
