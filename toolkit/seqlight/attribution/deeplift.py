"""DeepLIFT/SHAP: attributions of sequences, averaged over references."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from seqlight.attribution import engine
from seqlight.attribution.overrides import overridden
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.rules import Overwritten
from seqlight.errors import ConvergenceWarning, InputError, UnsupportedOperation
from seqlight.prediction.batches import HALF, as_dtype, autocast, onto, require_args
from seqlight.prediction.borrow import borrowed, choose_device, floating_dtype, require_module
from seqlight.sequence.checks import require_count, require_one_hot
from seqlight.sequence.shuffles import dinucleotide_shuffle

# Beyond this share of the mean output difference a sum of attributions is wrong, however small it is.
LARGEST_RELATIVE_DELTA = 0.01


class AttributionsAndReferences(NamedTuple):
    """Attributions, and the references they were made with.

    Attributes
    ----------
    attributions : torch.Tensor, shape (sequences, letters, positions)
    references : torch.Tensor, shape (sequences, references, letters, positions)
    """

    attributions: Tensor
    references: Tensor


@dataclass(frozen=True)
class _Block:
    """A few sequences with all their references: what one record serves."""

    multipliers: Tensor  # (sequences, references, letters, positions)
    references: Tensor  # likewise
    deltas: Tensor  # (sequences, references): sum of attributions minus difference of outputs
    differences: Tensor  # (sequences, references)


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
    _refuse_scripts(model)
    X, inputs = require_one_hot(X), require_args(args)
    for i, arg in enumerate(inputs):
        if len(arg) != len(X):
            raise InputError(f"args[{i}] has {len(arg)} rows and X {len(X)}: expected as many.")
    n = require_count(n_shuffles, "n_shuffles", least=1)
    drawn = References(references, X, n, random_state)
    job = _Job(model, X, inputs, drawn, target, require_count(batch_size, "batch_size", least=1), choose_device(device))
    out = torch.empty((len(X), drawn.n, *X.shape[1:]) if raw_outputs else X.shape, dtype=torch.float32)
    kept: list[Tensor] = []
    with (
        job.running(as_dtype(dtype), additional_nonlinear_ops),
        tqdm(total=len(X), unit=" sequences", disable=not verbose) as bar,
    ):
        for first, block in job.blocks():
            last = first + len(block.deltas)
            if print_convergence_deltas:
                print(block.deltas.abs().flatten())
            _warn(block, warning_threshold)
            if block.multipliers.dtype == torch.float64:
                out = out.double()
            out[first:last] = block.multipliers if raw_outputs else attributions(block, X[first:last], hypothetical)
            kept += [block.references] if return_references else []
            bar.update(last - first)
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
        self.rules: Mapping[Any, Any] = {}
        self.copy = False

    @contextlib.contextmanager
    def running(self, dtype: torch.dtype | None, overrides: Mapping[Any, Any] | None) -> Iterator[None]:
        """Borrow the model, with gradients on, whatever mode the caller is in."""
        own = floating_dtype(self.model, self.X)
        parameters = dtype if dtype not in HALF else None
        if dtype is None and own in HALF:
            parameters = torch.float32
        with (
            borrowed(self.model, self.device, parameters),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(self.device.type, enabled=False),
            autocast(self.device, dtype),
            _uncompiled(self.model),
            overridden(self.model, overrides) as self.rules,
        ):
            yield

    def blocks(self) -> Iterator[tuple[int, _Block]]:
        """Yield the sequences in order, as many at a time as fit into a batch with all their references."""
        rows = max(1, self.batch_size // self.references.n)
        for first in range(0, len(self.X), rows):
            yield first, self._block(first, min(first + rows, len(self.X)))

    def _block(self, first: int, last: int) -> _Block:
        while True:
            try:
                return self._explained(first, last)
            except Overwritten:
                # From here on, for a model that changes its own activations in place.
                self.copy = True

    def _explained(self, first: int, last: int) -> _Block:
        x, *args = onto([self.X[first:last].clone(), *(arg[first:last] for arg in self.args)], self.model, self.device)
        references = self.references.of(first, last)
        record = engine.observe(self.model, x, args, self.rules, copy=self.copy)
        explained = _chosen(record.output, self.target, last - first)
        parts = []
        for chunk in torch.split(references, max(1, self.batch_size // (last - first)), dim=1):
            # The reference index is the major one: see pairing.
            (flat,) = onto([chunk.transpose(0, 1).flatten(0, 1)], self.model, self.device)
            n = chunk.shape[1]
            more = [arg.repeat(n, *[1] * (arg.ndim - 1)) for arg in args]
            leaf, output = engine.explain(self.model, flat, more, self.rules, record)
            baseline = _chosen(output, self.target, len(flat))
            (multipliers,) = torch.autograd.grad(baseline.sum(), leaf)
            parts.append(_pairs(multipliers, flat, baseline, x, explained, n))
        return _Block(*(torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True)))


def attributions(block: Any, X: Tensor, hypothetical: bool) -> Tensor:
    """Return the mean over references of what each character contributes.

    A character is at a position instead of the reference's one, so its contribution is its multiplier
    minus what the reference has there.

    Parameters
    ----------
    block : object
        With ``multipliers`` and ``references``, shape (sequences, references, letters, positions).
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot.
    hypothetical : bool
        Keep the contributions of characters that are not there.

    Returns
    -------
    torch.Tensor, float64, shape of `X`
    """
    # In float64, so that the order of summation, and with it the batch size, leaves no trace.
    m, r = block.multipliers.double(), block.references.double()
    contributions = (m - (m * r).sum(dim=2, keepdim=True)).mean(dim=1)
    return contributions if hypothetical else contributions * X.cpu()


def _pairs(
    multipliers: Tensor, references: Tensor, baseline: Tensor, x: Tensor, explained: Tensor, n: int
) -> tuple[Tensor, ...]:
    """Return multipliers, references, deltas and output differences, (sequences, n, ...) on the CPU."""
    baseline = baseline.detach()
    m, r, f = (one.view(n, -1, *one.shape[1:]).transpose(0, 1) for one in (multipliers, references, baseline))
    differences = explained.unsqueeze(1) - f
    sums = (m * (x.unsqueeze(1) - r)).sum(dim=(2, 3))
    return tuple(one.cpu() for one in (m, r, sums - differences, differences))


def _chosen(output: Tensor, target: int, rows: int) -> Tensor:
    """Return the output to explain, one number for each row."""
    y = output.flatten(2).squeeze(2) if output.ndim > 2 and output.shape[2:].numel() == 1 else output
    if y.ndim == 1 and len(y) == rows:
        y = y.unsqueeze(1)
    if y.ndim != 2 or len(y) != rows:
        raise InputError(
            f"the model turned {rows} rows into an output of shape {tuple(output.shape)}: expected (rows, targets); "
            "wrap the model in one that reduces its output, for instance to a sum over positions."
        )
    if isinstance(target, bool) or not isinstance(target, int) or not -y.shape[1] <= target < y.shape[1]:
        raise InputError(f"target is {target!r} and the model has {y.shape[1]} outputs: expected one of these.")
    chosen: Tensor = y[:, target]
    return chosen


def _warn(block: _Block, threshold: float) -> None:
    deltas, size = block.deltas.abs().flatten(), block.differences.abs().mean()
    high = bool((deltas > threshold).any())
    if not high and not bool(deltas.mean() > LARGEST_RELATIVE_DELTA * size + torch.finfo(deltas.dtype).eps):
        return
    warnings.warn(
        f"Convergence deltas too high: {deltas}, where the outputs differ by {float(size):.3g} on average",
        ConvergenceWarning,
        stacklevel=3,
    )


@contextlib.contextmanager
def _uncompiled(model: nn.Module) -> Iterator[None]:
    # A compiled model runs code that no mode sees. Asking for eager mode loads the compiler, so only then.
    compiled = any(
        type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None
        for module in model.modules()
    )
    with torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext():
        yield


def _refuse_scripts(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise UnsupportedOperation(
                f"module {name or 'model'!r} is a ScriptModule, whose operations cannot be seen: "
                "pass the nn.Module that it was scripted from."
            )
