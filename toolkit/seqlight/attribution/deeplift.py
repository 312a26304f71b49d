"""DeepLIFT/SHAP: attributions of sequences, averaged over references."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from seqlight.attribution import engine
from seqlight.attribution.contributions import Block, Misses, adds_up, alike, attributions, chosen, joined, pairs
from seqlight.attribution.overrides import overridden
from seqlight.attribution.recording import Overwritten
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.surroundings import open_to_view, refuse_hidden
from seqlight.errors import InputError, UnsupportedOperation
from seqlight.prediction.batches import HALF, as_dtype, autocast, onto, require_args
from seqlight.prediction.borrow import borrowed, choose_device, floating_dtype, require_module
from seqlight.sequence.checks import require_count, require_one_hot
from seqlight.sequence.shuffles import dinucleotide_shuffle


class AttributionsAndReferences(NamedTuple):
    """Attributions, and the references they were made with.

    Attributes
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions)
    references : torch.Tensor, shape (sequences, references, letters, positions)
    """

    attributions: Tensor
    references: Tensor


def deep_lift_shap(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    target: int = 0,
    batch_size: int = 32,
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
) -> Tensor | AttributionsAndReferences:
    """Attribute one output of a model to the characters of each sequence.

    The attributions of a sequence sum to the difference between its output and the mean output of its
    references. The model is used in evaluation mode and given back exactly as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``; returns a tensor of shape (rows, targets) or (rows,).
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence; the references get the same.
    target : int
        Which output to explain.
    batch_size : int
        Pairs of a sequence and a reference at a time. It does not change the result.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        With what to compare. A function is called as ``references(X, n=1, random_state=seed)`` and returns
        such a tensor; reference k of each sequence has the seed ``random_state + k``.
    n_shuffles : int
        References a sequence, where they come from a function.
    return_references : bool
        Return the references too.
    hypothetical : bool
        Return what every character would contribute at each position, not only the ones that are there.
    warning_threshold : float
        Warn where attributions miss the output difference by more than this.
    additional_nonlinear_ops : mapping, optional
        Rules that override or extend ours: a module class as key, and a function of
        ``(module, grad_input, grad_output)`` that returns the gradient to pass on as value.
    print_convergence_deltas : bool
        Print by how much the attributions of each pair miss the output difference, a tensor for each batch.
    raw_outputs : bool
        Return the multipliers of each reference, shape (sequences, references, letters, positions).
    dtype : torch.dtype or str, optional
        To compute in; None for the model's own, but float32 for a model in half precision.
    device : str or torch.device, optional
        Where to run; None for CUDA, then MPS, then the CPU.
    random_state : int, optional
        The seed of the first reference; None for a fresh one.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    torch.Tensor, shape of `X` (or as `raw_outputs` says), on the CPU
        With `return_references`, a named tuple of it and the references.

    Raises
    ------
    InputError
        If an argument cannot be used.
    UnsupportedOperation
        If the model contains an operation that no rule explains; the message names it and its module.

    Warns
    -----
    ConvergenceWarning
        If attributions do not sum to the output difference.

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
    require_module(model)
    refuse_hidden(model)
    X, inputs = require_one_hot(X), require_args(args)
    for i, arg in enumerate(inputs):
        if len(arg) != len(X):
            raise InputError(f"args[{i}] has {len(arg)} rows and X {len(X)}: expected as many.")
    n = require_count(n_shuffles, "n_shuffles", least=1)
    drawn = References(references, X, n, random_state)
    job = _Job(model, X, inputs, drawn, target, require_count(batch_size, "batch_size", least=1), choose_device(device))
    kept: list[Tensor] = []
    misses = Misses(warning_threshold)
    with (
        job.running(as_dtype(dtype), additional_nonlinear_ops),
        tqdm(total=len(X), unit=" sequences", disable=not verbose) as bar,
    ):
        out = torch.empty((len(X), drawn.n, *X.shape[1:]) if raw_outputs else X.shape, dtype=torch.float32)
        for first, block in job.blocks():
            last = first + len(block.deltas)
            for deltas in (
                torch.split(block.deltas, job.at_once(last - first), dim=1) if print_convergence_deltas else ()
            ):
                print(deltas.abs().flatten())
            misses.add(block)
            if block.multipliers.dtype == torch.float64:
                out = out.double()
            out[first:last] = block.multipliers if raw_outputs else attributions(block, X[first:last], hypothetical)
            kept += [block.references] if return_references else []
            bar.update(last - first)
    misses.warn()
    return AttributionsAndReferences(out, torch.cat(kept)) if return_references else out


class _Job:
    """One call: which sequences, against what, where and how."""

    def __init__(
        self,
        model: nn.Module,
        X: Tensor,
        args: Sequence[Tensor],
        references: References,
        target: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.model, self.X, self.args, self.references = model, X, args, references
        self.target, self.batch_size, self.device = target, batch_size, device
        self.manner = engine.Manner({})
        self.alone: bool | None = None  # whether pairs have to go one at a time; None: not tried

    @contextlib.contextmanager
    def running(self, dtype: torch.dtype | None, overrides: Mapping[Any, Any] | None) -> Iterator[None]:
        """Borrow the model, with gradients on, whatever mode the caller is in."""
        own = floating_dtype(self.model, self.X)
        parameters = dtype if dtype not in HALF else None
        if dtype is None and own in HALF:
            parameters = torch.float32
        with (
            torch.inference_mode(False),
            borrowed(self.model, self.device, parameters),
            torch.enable_grad(),
            torch.autocast(self.device.type, enabled=False),
            autocast(self.device, dtype),
            open_to_view(self.model),
            overridden(self.model, overrides) as self.manner.rules,
        ):
            yield

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Yield the sequences in order, as many at a time as fit into a batch with all their references."""
        rows = max(1, self.batch_size // self.references.n)
        for first in range(0, len(self.X), rows):
            yield first, self._block(first, min(first + rows, len(self.X)))

    def at_once(self, rows: int) -> int:
        """Return how many references of each of `rows` sequences make a batch."""
        return max(1, self.batch_size // rows)

    def _block(self, first: int, last: int) -> Block:
        references = self.references.of(first, last)
        block = None if self.alone else self._together(first, last, references)
        if block is not None:
            return block
        rows = [self._explained(i, i + 1, references[i - first : i - first + 1], 1) for i in range(first, last)]
        return joined(rows, dim=0)

    def _together(self, first: int, last: int, references: Tensor) -> Block | None:
        """Explain several pairs at a time; None if a pair has to be on its own to meet its own partner.

        That is so where the model merges the batch into another dimension as the minor index, or loops over rows.
        """
        block = None
        try:
            block = self._explained(first, last, references, self.at_once(last - first))
            if self.alone is False or block.deltas.numel() == 1 or adds_up(block):
                return block
        except UnsupportedOperation:
            if self.alone is False or references.shape[:2].numel() == 1:
                raise
        trial = self._explained(first, first + 1, references[:1, :1], 1)
        self.alone = block is None or (adds_up(trial) and not alike(trial, block))
        return None if self.alone else block

    def _explained(self, first: int, last: int, references: Tensor, at_once: int) -> Block:
        try:
            return self._attempt(first, last, references, at_once)
        except Overwritten:
            # From here on, for a model that changes its own activations in place.
            self.manner.copy = True
            return self._attempt(first, last, references, at_once)

    def _attempt(self, first: int, last: int, references: Tensor, at_once: int) -> Block:
        x, *args = onto([one[first:last].detach().clone() for one in (self.X, *self.args)], self.model, self.device)
        record = engine.observe(self.model, x, args, self.manner)
        explained = chosen(record.output, self.target, last - first)
        parts = []
        for chunk in torch.split(references, at_once, dim=1):
            # The reference index is the major one: see pairing.
            (flat,) = onto([chunk.transpose(0, 1).flatten(0, 1)], self.model, self.device)
            n = chunk.shape[1]
            more = [arg.repeat(n, *[1] * (arg.ndim - 1)) for arg in args]
            leaf, output = engine.explain(self.model, flat, more, self.manner, record)
            baseline = chosen(output, self.target, len(flat))
            (multipliers,) = torch.autograd.grad(baseline.sum(), leaf)
            parts.append(Block(*pairs(multipliers, flat, baseline, x, explained, n)))
        return joined(parts, dim=1)
