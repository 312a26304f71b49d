"""The jobs of a worker. Each returns a dictionary for JSON, and writes its array to a file if it has one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import random
import re
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from seqlight.errors import InputError
from seqlight.studies.cell import Outcome, Verdict
from seqlight.studies.implementations.implementation import INPUTS, Implementation
from seqlight.studies.selected_output import as_table
from seqlight.studies.workers.model_state import ModelState
from seqlight.studies.workers.process_memory import PeakMemory

# A second call, whose time is that of a warm process, is left out where the first took longer than this many seconds:
# what is done once weighs little there. The result is always the first call's.
SECOND_CALL = 3.0
# Rows in a call that computes outputs.
ROWS_AT_ONCE = 32
# Of longer texts that a peer prints or raises, this many characters are kept.
TEXT = 2000


class Loaded(NamedTuple):
    """A case, ready for a call: everything is new, so nothing of a call before is left on it."""

    model: nn.Module
    X: Tensor
    references: Tensor
    args: tuple[Tensor, ...]
    target: int


def load_case(path: str, dtype: str) -> Loaded:
    """Read the case that the parent wrote, in a dtype such as "float64"."""
    case = pickle.loads(Path(path).read_bytes())
    model, to = pickle.loads(case["model"]), getattr(torch, dtype)
    args = tuple(one.to(to) if one.is_floating_point() else one for one in case["args"])
    X, references = case["X"].to(to), case["references"].to(to)
    return Loaded(model.eval().to(device="cpu", dtype=to), X, references, args, case["target"])


def contributions(job: dict[str, Any], implementation: Implementation) -> dict[str, Any]:
    """Compute contributions twice, the second time on a new copy of the model; write those of the first call."""
    first = _Call(implementation, job)
    outcome = first.outcome
    if outcome.status == "ok":
        np.save(job["array"], first.found.numpy())
        if first.seconds < min(SECOND_CALL, job["time_limit"] / 2):
            second = _Call(implementation, job)
            return asdict(outcome) | {"seconds": second.seconds}
    return asdict(outcome) | {"seconds": first.seconds}


class _Call:
    """One call of an implementation, with all that a user would notice of it."""

    def __init__(self, implementation: Implementation, job: dict[str, Any]) -> None:
        self.found, self.error = torch.empty(0), None
        self._implementation = implementation
        reset_process(job)
        case = load_case(job["case"], job["dtype"])
        before, printed = ModelState(case.model), io.StringIO()
        process = os.getpid()
        # What compiled code prints goes to the log of the process.
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
            warnings.simplefilter("always")
            memory, start = PeakMemory(), time.perf_counter()
            try:
                self.found = implementation.contributions(
                    case.model, case.X, case.references, case.args, case.target, job["random_state"]
                )
            except BaseException as error:
                self.error = error
            self.seconds = time.perf_counter() - start
            if os.getpid() != process:  # a fork of this one came back, too
                os._exit(0)
            peak = memory.mib()
        self._warnings = [f"{one.category.__name__}: {one.message}"[:TEXT] for one in caught]
        changed = before.changes(case.model)
        if self.error is None:
            try:
                self.found = _checked(self.found, case)
            except InputError as error:
                self.error = error
        self.outcome = self._judge(peak, changed, printed.getvalue()[:TEXT])

    def _judge(self, peak: float | None, changed: list[str], printed: str) -> Outcome:
        told = [one for one in self._warnings if not _matches(one, self._implementation.routine_warnings)]
        text = "" if self.error is None else _in_words(self.error)[:TEXT]
        verdict: Verdict = "raised" if text else "warned" if told else "said" if printed.strip() else "silent"
        status = "ok"
        if text:
            status = "refused" if _matches(text, self._implementation.refusals) else "error"
        if isinstance(self.error, MemoryError) or "not enough memory" in text:
            status = "memory limit"
        return Outcome(
            status,  # type: ignore[arg-type]
            verdict,
            self.seconds,
            peak_mib=float("nan") if peak is None else peak,
            warnings=list(dict.fromkeys(told)),
            error=text,
            printed=printed,
            changed_state=changed,
        )


def outputs(job: dict[str, Any]) -> dict[str, Any]:
    """Compute the outputs of the sequences and of their references with plain calls, and write both."""
    case = load_case(job["case"], job["dtype"])
    n = case.references.shape[1]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = _outputs_of(case, case.X, ROWS_AT_ONCE)
        # One sequence alone tells whether rows depend on one another.
        alone = _outputs_of(case, case.X[:1], 1)
        references = torch.stack([_outputs_of(case, case.references[:, k], ROWS_AT_ONCE) for k in range(n)], dim=1)
    np.savez(job["array"], outputs=whole.double().numpy(), reference_outputs=references.double().numpy())
    scale = float((whole[:, None] - references).abs().mean())
    mixed = float((whole[:1] - alone).abs().max()) / scale if scale else 0.0
    return {"mixed_rows": mixed}


def audit(job: dict[str, Any]) -> dict[str, Any]:
    """Audit the model, as :func:`seqlight.audit` does."""
    from seqlight.attribution.audit.model_audit import audit as audit_model

    case = load_case(job["case"], "float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = audit_model(case.model, case.X, case.args or None, case.target, case.references, device="cpu")
    table = json.loads(found.table.to_json(orient="records"))
    lost = None if np.isnan(found.lost) else found.lost
    return {"text": str(found), "table": table, "complete": found.complete, "lost": lost}


def suspects(job: dict[str, Any], implementation: Implementation) -> dict[str, Any]:
    """Name the operations of the model that the implementation is known to treat wrongly."""
    if implementation.suspects is None:
        return {"suspects": []}
    import pandas as pd  # not every worker needs it

    case = load_case(job["case"], job["dtype"])
    operations = pd.DataFrame(job["table"])
    operations.attrs[INPUTS] = tuple(one[:2] for one in (case.X, *case.args))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {"suspects": [asdict(one) for one in implementation.suspects(case.model, operations)]}


def reset_process(job: dict[str, Any]) -> None:
    """Put back what a call before may have left changed, so that a cell does not depend on those before it."""
    os.chdir(job["folder"])
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.set_num_threads(job["threads"])
    # A peer that draws from the global generators gives the same result each time.
    torch.manual_seed(job["random_state"])
    np.random.seed(job["random_state"])
    random.seed(job["random_state"])


def _in_words(error: BaseException) -> str:
    """Return the class and the message of an error, which may not have one that can be read."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def _checked(found: Any, case: Loaded) -> Tensor:
    """Return contributions as a tensor; InputError if it is none of a shape that fits."""
    rows, n, _, positions = case.references.shape
    if not isinstance(found, Tensor | np.ndarray):
        raise InputError(f"the implementation returned {type(found).__name__}: expected a tensor.")
    tensor: Tensor = torch.as_tensor(found).detach().cpu()
    if tuple(tensor.shape) not in ((rows, n, positions), (rows, positions)):
        raise InputError(
            f"the implementation returned shape {tuple(tensor.shape)}: expected (rows, references, positions), here "
            f"{(rows, n, positions)}, or (rows, positions)."
        )
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _outputs_of(case: Loaded, X: Tensor, at_once: int) -> Tensor:
    """Return the outputs of sequences, shape (rows,)."""
    starts = range(0, len(X), at_once)
    blocks = [tuple(one[start : start + at_once] for one in (X, *case.args)) for start in starts]
    return torch.cat([_column(case.model(*block), case.target, len(block[0])) for block in blocks])


def _column(returned: Any, target: int, rows: int) -> Tensor:
    """Return one column of what a model returns; InputError if that is no table with a row for each sequence."""
    table = as_table(returned, None)
    if table.ndim != getattr(returned, "ndim", 0) or len(table) != rows:
        raise InputError(
            f"the model returns shape {tuple(returned.shape)} for {rows} rows: expected (rows, targets) or (rows,); "
            "give `output`, with which what is beyond the second dimension is averaged."
        )
    if table.ndim == 2 and not -table.shape[1] <= target < table.shape[1]:
        columns = "1 column" if table.shape[1] == 1 else f"{table.shape[1]} columns"
        raise InputError(f"target is {target}, and the model returns {columns}: choose a column that there is.")
    column = table if table.ndim == 1 else table[:, target]
    return column.detach()


def _matches(text: str, patterns: tuple[str, ...]) -> bool:
    return any(re.search(one, text, re.DOTALL) for one in patterns)


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "contributions": contributions,
    "outputs": outputs,
    "audit": audit,
    "suspects": suspects,
}
# Which of them run code of the implementation.
OF_IMPLEMENTATION = ("contributions", "suspects")
