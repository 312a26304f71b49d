"""Audit a model: how each of its operations is explained, and which of them lose completeness."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.arguments import check_arguments
from seqlight.attribution.audit.operations import AuditedCall
from seqlight.attribution.audit.pair_auditor import AuditedPair, PairAuditor
from seqlight.attribution.audit.result import Audit
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, IntegratedWarning, SeqlightError, UnsupportedOperation
from seqlight.prediction.arguments import HALF
from seqlight.prediction.batch_size import BatchSize
from seqlight.prediction.borrowed_model.borrow import floating_dtype
from seqlight.prediction.device_dtypes import has_float64
from seqlight.prediction.process_settings import ProcessSetting
from seqlight.sequence.checks import require_count
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.targets.contrast import Target

# How many sequences are explained; a model treats the others in the same way.
SEQUENCES = 4


@contextlib.contextmanager
def _without_integrated_warnings() -> Iterator[None]:
    """Ignore IntegratedWarning: the table says which operations are integrated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IntegratedWarning)
        yield


# Warning filters are shared by all threads, so two overlapping audits must not restore each other's.
_WITHOUT_INTEGRATED_WARNINGS = ProcessSetting(_without_integrated_warnings)


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
    """Find out how each operation of a model is explained, and which ones lose something if attributions do not add up.

    The attributions of :func:`seqlight.deep_lift_shap` should sum to the output difference. What they miss is the sum
    of what single operations miss, and that is measured here. The first four sequences of `X` are explained, each on
    its own, in float64, so that rounding does not interfere; a model that does not run in float64 is explained in its
    own dtype, and the printed result says so. A model that is refused is audited up to the operation at fault.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``. It is used in evaluation mode and returned exactly as it was.
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros. Pass ``X[i:j]`` to audit others than the first four.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence.
    target : int, or any single target of :func:`seqlight.attribute`
        Which output to explain.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        What to compare with, as in :func:`seqlight.deep_lift_shap`; of a tensor, the first `n_shuffles` references.
    n_shuffles : int
        References per sequence.
    additional_nonlinear_ops : mapping, optional
        Your own rules, as in :func:`seqlight.deep_lift_shap`, to see whether they add up.
    dtype : torch.dtype or str, optional
        The dtype to compute in, if the model runs in it. None for the model's own, but float32 for a model in half
        precision.
    device : str or torch.device, optional
        Where to run. None as in :func:`seqlight.deep_lift_shap`, but for the CPU where a device has no float64 and
        `dtype` is that.
    random_state : int, optional
        The seed of the first reference; None for a fresh one.

    Returns
    -------
    Audit
        A table of operations with a summary; print it.

    Raises
    ------
    InputError
        If an argument cannot be used.

    See Also
    --------
    seqlight.deep_lift_shap

    Examples
    --------
    >>> import numpy
    >>> import torch
    >>> from seqlight import random_one_hot
    >>> class Gate(torch.nn.Module):
    ...     def forward(self, x):
    ...         h = x[:, 0] - x[:, 1]
    ...         return (h * torch.from_numpy(numpy.tanh(h.detach().numpy()))).sum(dim=1, keepdim=True)
    >>> found = audit(Gate(), random_one_hot((4, 4, 20), random_state=0), device="cpu")
    >>> found.complete
    False
    >>> print(found.culprits[["operation", "treatment"]].to_string(index=False))
    operation treatment
          mul    hidden
    """
    checked = check_arguments(model, X, args, 1, dtype, device)
    X, where = checked.X, checked.device
    n = require_count(n_shuffles, "n_shuffles", least=1)
    drawn, targets = References(references, X, n, random_state), Targets(target, len(X))
    if targets.several:
        raise InputError("target is a list: an audit explains one target.")
    rows = min(len(X), SEQUENCES)
    if device is None and checked.dtype == torch.float64 and not has_float64(where):
        where = torch.device("cpu")

    def run(dtype: torch.dtype | None) -> list[AuditedPair]:
        explainer = PairAuditor(model, (X,), checked.args, targets, BatchSize(1, where))
        explainer.policy.copy = True  # the ledger keeps copies, whatever the model overwrites
        found: list[AuditedPair] = []
        with explainer.borrow_model(dtype, additional_nonlinear_ops), _WITHOUT_INTEGRATED_WARNINGS.apply():
            for i in range(rows):
                (references_of_one,) = drawn.draw(i, i + 1, 0, min(n, drawn.n))
                found.extend(explainer.pair(i, one.unsqueeze(0)) for one in references_of_one)
        return found

    try:
        return Audit.from_pairs(*_run_in(run, checked.dtype, model, X, rows))
    except UnsupportedOperation as error:
        call = AuditedCall("the model", "", ["refused"])
        refused = AuditedPair([], refused=call, note=str(error), typed=error.typed or "")
        return Audit.from_pairs([refused], rows)


def _run_in(
    run: Callable[[torch.dtype | None], list[AuditedPair]],
    dtype: torch.dtype | None,
    model: nn.Module,
    X: Tensor,
    rows: int,
) -> tuple[list[AuditedPair], int, str]:
    """Run in `dtype`, or else in the model's own; return the results, the number of sequences, and the reason."""
    own = floating_dtype(model, X)
    own = torch.float32 if own in HALF else own
    try:
        return run(dtype), rows, ""
    except SeqlightError:
        raise
    except Exception as error:
        parameters = itertools.chain(model.parameters(), model.buffers())
        if dtype in (None, own) or not any(one.is_floating_point() for one in parameters):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    # An error that is not about the dtype is raised again.
    return run(None), rows, f"in {_short_name(own)}, because the model does not run in {_short_name(dtype)}: {reason}"


def _short_name(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")
