"""The order of the work: which cells are missing, and which worker does what next."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from seqlight.studies.agreement import miss
from seqlight.studies.cell import Outcome
from seqlight.studies.folder import StudyFolder
from seqlight.studies.implementations.implementation import Implementation
from seqlight.studies.workers.model_state import OF_PROCESS
from seqlight.studies.workers.parcel import to_bytes
from seqlight.studies.workers.process_memory import free_mib
from seqlight.studies.workers.worker import Answer, Worker

# The share of the free memory that a worker may hold, unless the user says otherwise.
SHARE_OF_MEMORY = 0.8
# Statuses that another try may change.
WORTH_A_RETRY = ("error", "crashed", "time limit", "memory limit")
# Outputs and the audit are what all cells are judged by, so they may take so many times as long.
PATIENCE = 4
# From this share of the output difference on, a miss is looked into.
LOOKED_INTO = 1e-4


class CellPlan(NamedTuple):
    """A cell that is asked for."""

    model: str
    implementation: str
    dtype: str
    key: str


class RunSettings(NamedTuple):
    """How cells are run.

    Attributes
    ----------
    time_limit : float
        Seconds for each cell.
    memory_limit : float or None
        MiB for each process.
    threads : int
    random_state : int
    retry : bool
        Whether cells that did not end well count as missing.
    audit : bool
        Whether to find out why an implementation misses.
    """

    time_limit: float
    memory_limit: float | None
    threads: int
    random_state: int
    retry: bool
    audit: bool


class Schedule:
    """Runs the missing cells of a study, a worker for each implementation.

    Parameters
    ----------
    files : StudyFolder
    implementations : sequence of Implementation
    plans : sequence of CellPlan
    settings : RunSettings
    """

    def __init__(
        self,
        files: StudyFolder,
        implementations: Sequence[Implementation],
        plans: Sequence[CellPlan],
        settings: RunSettings,
    ) -> None:
        self._files, self._settings = files, settings
        self._memory_limit = settings.memory_limit or SHARE_OF_MEMORY * free_mib()
        self._implementations = {one.name: one for one in implementations}
        self._plans: dict[str, list[CellPlan]] = {}
        for plan in plans:
            self._plans.setdefault(plan.model, []).append(plan)
        self._missing = {plan.key for plan in plans if self._is_missing(plan)}
        self.done = len(plans) - len(self._missing)
        self._workers: dict[str | None, Worker] = {}

    def __enter__(self) -> Schedule:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.close()

    def start(self, cases: Mapping[str, dict[str, Any]]) -> list[str]:
        """Start the workers that are needed, all at once, and return the models that have something left to do."""
        missing = [plan for plans in self._plans.values() for plan in plans if plan.key in self._missing]
        models = {plan.model for plan in missing}
        models |= {name for name, case in cases.items() if not self._knows_about(name, case["key"])}
        if models:
            self._worker(None).start()
        for name in dict.fromkeys(plan.implementation for plan in missing):
            if self._implementations[name].version is not None:
                self._worker(self._implementations[name]).start()
        return [name for name in cases if name in models]

    def run_model(self, name: str, key: str, parcel: Path, count: Callable[[int], object]) -> None:
        """Run what is missing of one model: its outputs, its cells, and its audit.

        Parameters
        ----------
        name : str
        key : str
            The digest of its case.
        parcel : path
            The case, as workers read it.
        count : callable
            Called with 1 after each cell.
        """
        settings = self._settings
        common = {
            "case": str(parcel.absolute()),
            "folder": os.getcwd(),
            "threads": settings.threads,
            "time_limit": settings.time_limit,
            "random_state": settings.random_state,
        }
        for dtype in dict.fromkeys(plan.dtype for plan in self._plans[name]):
            self._run_outputs(f"{key}-{dtype}", common | {"dtype": dtype})
        for plan in self._plans[name]:
            if plan.key in self._missing:
                self._run_cell(plan, common | {"dtype": plan.dtype})
                count(1)
        if settings.audit:
            self._run_audit(name, key, common)

    def _run_outputs(self, name: str, job: dict[str, Any]) -> None:
        if self._has("outputs", name):
            return
        array = self._files.work / "outputs.npz"
        answer = self._do(None, job | {"kind": "outputs", "array": str(array)}, patience=PATIENCE)
        record = _record(answer)
        if "failed" not in record:
            self._files.keep_array("outputs", name, array)
        self._files.write("outputs", name, record)

    def _run_cell(self, plan: CellPlan, job: dict[str, Any]) -> None:
        implementation = self._implementations[plan.implementation]
        array = self._files.work / "contributions.npy"
        if implementation.version is None:
            outcome = Outcome("absent", error=f"{implementation.package} is not installed").as_dict()
        else:
            outcome = _outcome(self._do(implementation, job | {"kind": "contributions", "array": str(array)}))
            if OF_PROCESS.intersection(outcome["changed_state"]):
                self._worker(implementation).close()  # so that the next cell gets a process as it was
        if outcome["status"] == "ok":
            self._files.keep_array("cells", plan.key, array)
        which = plan._asdict() | {"version": implementation.version or ""}
        self._files.write("cells", plan.key, which | outcome | {"time_limit": self._settings.time_limit})

    def _run_audit(self, name: str, key: str, common: dict[str, Any]) -> None:
        """Audit the model, and ask each implementation that misses what of it it treats wrongly."""
        record = self._files.read("audits", key)
        if record is None or not self._has("audits", key):
            record = _record(self._do(None, common | {"kind": "audit"}, patience=PATIENCE))
            self._files.write("audits", key, record)
        if "failed" in record:
            return
        for plan in self._unexplained(name, key):
            job = common | {"kind": "suspects", "table": record["table"], "dtype": plan.dtype}
            answer = self._do(self._implementations[plan.implementation], job)
            self._files.write("suspects", f"{key}-{plan.implementation}", _record(answer))

    def _unexplained(self, name: str, key: str) -> Iterator[CellPlan]:
        """Return a cell of each implementation that misses on a model, and has not been asked why."""
        for one, implementation in self._implementations.items():
            plan = next(plan for plan in self._plans[name] if plan.implementation == one)
            if implementation.suspects is None or self._files.has("suspects", f"{key}-{one}"):
                continue
            if self._misses(plan, key):
                yield plan

    def _misses(self, plan: CellPlan, key: str) -> bool:
        """Return whether an implementation gave no contributions, or such as miss the output difference."""
        record, outputs = self._files.read("cells", plan.key), self._files.read("outputs", f"{key}-{plan.dtype}")
        if record is None or record["status"] == "absent" or outputs is None or "failed" in outputs:
            return False
        if record["status"] != "ok":
            return True
        found = self._files.arrays("cells", f"{plan.key}.npy")[""]
        stored = self._files.arrays("outputs", f"{key}-{plan.dtype}.npz")
        return not miss(found, stored["outputs"], stored["reference_outputs"])[0] < LOOKED_INTO

    def _worker(self, implementation: Implementation | None) -> Worker:
        name = None if implementation is None else implementation.name
        if name not in self._workers:
            path = None
            if implementation is not None:
                path = self._files.work / f"implementation-{len(self._workers)}.pkl"
                path.write_bytes(to_bytes(implementation, f"the implementation {name!r}"))
            self._workers[name] = Worker(
                path, self._files.work / f"log-{len(self._workers)}.txt", self._settings.threads
            )
        return self._workers[name]

    def _do(self, implementation: Implementation | None, job: dict[str, Any], patience: float = 1) -> Answer:
        return self._worker(implementation).do(job, patience * self._settings.time_limit, self._memory_limit)

    def _knows_about(self, name: str, key: str) -> bool:
        """Return whether the outputs of a model are there, and all that explains a miss if there is to be an audit."""
        dtypes = dict.fromkeys(plan.dtype for plan in self._plans[name])
        if not all(self._has("outputs", f"{key}-{dtype}") for dtype in dtypes):
            return False
        if not self._settings.audit:
            return True
        if not self._has("audits", key):
            return False
        return "failed" in (self._files.read("audits", key) or {}) or not any(self._unexplained(name, key))

    def _has(self, part: str, name: str) -> bool:
        """Return whether a record is there, and is not of a failure that another try may mend."""
        record = self._files.read(part, name)
        if record is None or "failed" not in record:
            return record is not None
        return not (self._settings.retry or record["failed"].startswith(WORTH_A_RETRY[1:]))

    def _is_missing(self, plan: CellPlan) -> bool:
        record = self._files.read("cells", plan.key)
        if record is None:
            return True
        patient = record["status"] == "time limit" and self._settings.time_limit > record["time_limit"]
        return patient or (self._settings.retry and record["status"] in WORTH_A_RETRY)


def _record(answer: Answer) -> dict[str, Any]:
    return {"failed": f"{answer.ended}: {answer.reason}"} if answer.ended else answer.found


def _outcome(answer: Answer) -> dict[str, Any]:
    if answer.ended:
        return Outcome(answer.ended, error=answer.reason).as_dict()  # type: ignore[arg-type]
    if "failed" in answer.found:
        status = "memory limit" if answer.found.get("out_of_memory") else "error"
        return Outcome(status, "raised", error=answer.found["failed"]).as_dict()  # type: ignore[arg-type]
    found = answer.found
    return found | {"peak_mib": answer.peak_mib if math.isnan(found["peak_mib"]) else found["peak_mib"]}
