"""The program of a worker: takes jobs as lines of JSON, answers each with a line of JSON.

Whatever the code of a peer writes to the standard streams goes to a log, so that it cannot be taken for an answer.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import pickle
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import IO, Any

# Seconds between two looks whether the parent still runs.
LOOK = 1.0
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer jobs until the pipe is closed."""
    jobs, answers = _own_pipes()
    setup = json.loads(jobs.readline())
    _end_with_parent(setup["parent"])
    try:
        implementation = _prepare(setup)
    except BaseException as error:
        _answer(answers, {"failed": f"{type(error).__name__}: {error}"})
        return
    _answer(answers, {"ready": True})
    for line in jobs:
        _answer(answers, _run(json.loads(line), implementation))


def _own_pipes() -> tuple[IO[str], IO[str]]:
    """Return the two pipes under new descriptors, and put the log of the process in the place of the old ones."""
    jobs = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    faulthandler.enable()
    return jobs, answers


def _end_with_parent(parent: int) -> None:
    """See to it that this process ends when its parent does, even if it hangs."""
    # Ctrl-C is for the parent, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _prepare(setup: dict[str, Any]) -> Any:
    """Import what the implementation needs, and return it; None for the worker of the study itself."""
    import torch

    torch.set_num_threads(setup["threads"])
    import_module("seqlight.studies.workers.jobs")
    if setup["implementation"] is None:
        return None
    implementation = pickle.loads(Path(setup["implementation"]).read_bytes())
    for name in implementation.modules:
        import_module(name)
    return implementation


def _run(job: dict[str, Any], implementation: Any) -> dict[str, Any]:
    from seqlight.studies.workers.jobs import JOBS, OF_IMPLEMENTATION

    arguments = (job, implementation) if job["kind"] in OF_IMPLEMENTATION else (job,)
    try:
        return JOBS[job["kind"]](*arguments)
    except MemoryError as error:
        return {"out_of_memory": True, "failed": f"MemoryError: {error}"}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def _answer(answers: IO[str], found: dict[str, Any]) -> None:
    answers.write(json.dumps(found) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
