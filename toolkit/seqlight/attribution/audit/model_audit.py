"""Audit a model: every operation it is made of, how each is explained, and which one does not add up."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.audit.operations import Meeting
from seqlight.attribution.audit.pairs import Examined, Examining
from seqlight.attribution.audit.result import Audit
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Target, Targets
from seqlight.errors import InputError, IntegratedWarning, SeqlightError, UnsupportedOperation
from seqlight.prediction.arguments import HALF, as_dtype, choose_device, require_inputs, require_module
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.process_settings import ProcessSetting
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle

# As many sequences are looked at; a model does with the rest what it does with these.
SEQUENCES = 4


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IntegratedWarning)  # the table says so
        yield


# Filters are those of all threads, and what two that overlap restore would be each other's.
_QUIET = ProcessSetting(_quiet)


def audit(
    model: nn.Module,
    X: Tensor,
    args: Sequence[Tensor] | None = None,
    target: Target = 0,
    references: Tensor | ReferenceFunction = dinucleotide_shuffle,
    n_shuffles: int = 2,
    additional_nonlinear_ops: Mapping[Any, Callable[..., Any]] | None = None,
    dtype: torch.dtype | str | None = "float64",
    device: str | torch.device | None = None,
    random_state: int | None = 0,
) -> Audit:
    """Say how each operation of a model is explained, and which one loses something when it does not add up.

    The attributions of :func:`seqlight.deep_lift_shap` should sum to the output difference. What they miss is
    the sum of what the single operations miss, and each of these is measured here. The first four sequences of
    `X` are explained, each on its own, in float64, so that rounding does not get in the way; in the model's
    own dtype, which the verdict then says, if it does not run in float64. A model that would be refused is
    audited up to there.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``. It is used in evaluation mode and given back exactly as it was.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros. Pass ``X[i:j]`` to look at others than the first four.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence.
    target : int, or any single target of :func:`seqlight.attribute`
        Which output is explained.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        As in :func:`seqlight.deep_lift_shap`; of a tensor the first `n_shuffles` references are used.
    n_shuffles : int
        References a sequence.
    additional_nonlinear_ops : mapping, optional
        Your own rules, to see whether they add up.
    dtype : torch.dtype or str, optional
        To compute in, if the model runs in it; None for the model's own, but float32 for a model in half precision.
    device : str or torch.device, optional
        Where to run; None for CUDA, then MPS, then the CPU. MPS has no float64, so only with another `dtype`.
    random_state : int, optional
        The seed of the first reference; None for a fresh one.

    Returns
    -------
    Audit
        Print it.

    Raises
    ------
    InputError
        If an argument cannot be used.

    See Also
    --------
    seqlight.deep_lift_shap

    Examples
    --------
    >>> import torch
    >>> from seqlight import random_one_hot
    >>> class Gate(torch.nn.Module):
    ...     def forward(self, x):
    ...         h = x[:, 0] - x[:, 1]
    ...         return (h * (h > 0).float()).sum(dim=1, keepdim=True)
    >>> found = audit(Gate(), random_one_hot((4, 4, 20), random_state=0), device="cpu")
    >>> found.complete
    False
    >>> print(found.culprits[["operation", "treatment"]].to_string(index=False))
    operation treatment
          mul    hidden
    """
    require_module(model)
    X, inputs = require_inputs(X, args)
    n = require_count(n_shuffles, "n_shuffles", least=1)
    drawn, targets = References(references, X, n, random_state), Targets(target, len(X))
    if targets.several:
        raise InputError("target is a list: an audit explains one target.")
    rows, kind, where = min(len(X), SEQUENCES), as_dtype(dtype), choose_device(device)
    if device is None and where.type == "mps" and kind == torch.float64:
        where = torch.device("cpu")  # MPS has no float64

    def run(kind: torch.dtype | None) -> list[Examined]:
        job = Examining(model, (X,), inputs, targets, 1, where)
        job.policy.copy = True  # books are kept in copies, whatever the model overwrites
        found: list[Examined] = []
        with job.running(kind, additional_nonlinear_ops), _QUIET.apply():
            for i in range(rows):
                (references_of_one,) = drawn.draw(i, i + 1, 0, min(n, drawn.n))
                found.extend(job.pair(i, one.unsqueeze(0)) for one in references_of_one)
        return found

    try:
        return Audit.of(*_run_in(run, kind, model, X, rows))
    except UnsupportedOperation as error:
        return Audit.of([Examined([], refused=Meeting("the model", "", ["refused"]), note=str(error))], rows)


def _run_in(
    run: Callable[[torch.dtype | None], list[Examined]],
    kind: torch.dtype | None,
    model: nn.Module,
    X: Tensor,
    rows: int,
) -> tuple[list[Examined], int, str]:
    """Run in `kind`, or else in the model's own dtype; return what to put together, with why that is so."""
    own = floating_dtype(model, X)
    own = torch.float32 if own in HALF else own
    try:
        return run(kind), rows, ""
    except SeqlightError:
        raise
    except Exception as error:
        parameters = itertools.chain(model.parameters(), model.buffers())
        if kind in (None, own) or not any(one.is_floating_point() for one in parameters):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    # An error that is not about the dtype comes again: it is the model's own.
    return run(None), rows, f"in {_plain(own)}, because the model does not run in {_plain(kind)}: {reason}"


def _plain(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")
