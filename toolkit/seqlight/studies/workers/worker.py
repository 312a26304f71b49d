"""A worker seen from outside: a process that is given one job at a time, within limits of time and memory."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, NamedTuple

import psutil

from seqlight.studies.workers.process_memory import resident_mib

# Seconds between two looks at a worker's memory, and how many of them go by until its children are looked at too.
LOOK = 0.02
CHILDREN = 25
# Seconds that a worker has to import its libraries; on a busy machine with a cold disk this can take long.
START = 300.0
# Seconds within which the last answer of a process that has ended is read.
LAST_WORDS = 0.2
PROGRAM = "from seqlight.studies.workers.main import main; main()"
LOG_TAIL = 500


class Answer(NamedTuple):
    """How a job ended.

    Attributes
    ----------
    found : dict
        What the job returned; empty unless `ended` is "".
    ended : str
        "", or "crashed", "time limit" or "memory limit": then the process is gone, and the next job starts another.
    reason : str
        How the process ended.
    seconds, peak_mib : float
        Until the answer, and the most memory seen beyond what the process held before.
    """

    found: dict[str, Any]
    ended: str = ""
    reason: str = ""
    seconds: float = 0.0
    peak_mib: float = float("nan")


class Worker:
    """A process that imports once and then does many jobs; after a crash or a job that took too much, a new one.

    Parameters
    ----------
    implementation : path or None
        A pickled Implementation; None for jobs that need none.
    log : path
        What its code writes to the standard streams.
    threads : int
        Threads of PyTorch in the process.
    """

    def __init__(self, implementation: Path | None, log: Path, threads: int) -> None:
        self._implementation, self._log, self._threads = implementation, log, threads
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._ready, self._done = False, 0
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start the process, without waiting until it has imported its libraries."""
        if self._process is not None:
            return
        self._ready, self._done, self._lines = False, 0, queue.Queue()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(self._threads),
                text=True,
                encoding="utf-8",
                start_new_session=True,  # so that what it starts can be ended with it
            )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=_read_lines, args=(self._process.stdout, self._lines), daemon=True)
        self._reader.start()
        implementation = None if self._implementation is None else str(self._implementation)
        self._send({"parent": os.getpid(), "threads": self._threads, "implementation": implementation})

    def do(self, job: dict[str, Any], time_limit: float, memory_limit: float) -> Answer:
        """Do a job.

        Parameters
        ----------
        job : dict
            For JSON, with its ``kind``.
        time_limit : float
            Seconds until the process is killed.
        memory_limit : float
            MiB above which the process is killed.
        """
        answer, was_fresh = self._do_once(job, time_limit, memory_limit)
        # What a job before left behind, such as a thread that ends the process or memory, is not to be held against
        # this one: it is tried in a new process, as it would be if the study had been interrupted in between.
        if answer.ended in ("crashed", "memory limit") and not was_fresh:
            answer, _ = self._do_once(job, time_limit, memory_limit)
        return answer

    def _do_once(self, job: dict[str, Any], time_limit: float, memory_limit: float) -> tuple[Answer, bool]:
        """Return the answer, and whether the process had done nothing else before."""
        self.start()
        if not self._ready:
            started = self._wait(START, memory_limit)
            if started.ended or "failed" in started.found:
                self.close()
                return started, True
            self._ready = True
        was_fresh, self._done = not self._done, self._done + 1
        self._send(job)
        return self._wait(time_limit, memory_limit), was_fresh

    def close(self) -> None:
        """End the process, and every process that it has started."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            assert self._reader is not None
            _kill_with_children(self._process)
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._reader.join(timeout=1)
            if not self._reader.is_alive():  # else a process that escaped holds the pipe, and closing would wait for it
                self._process.stdout.close()
            self._process = None

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # A process that has ended is found by its missing answer.
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _wait(self, time_limit: float, memory_limit: float) -> Answer:
        """Wait for a line, and look at time and memory meanwhile."""
        assert self._process is not None
        start, base, peak = time.monotonic(), None, 0.0
        try:
            process: psutil.Process | None = psutil.Process(self._process.pid)
        except psutil.NoSuchProcess:
            process = None
        looks = itertools.count(1)
        while True:
            try:
                line = self._lines.get(timeout=LOOK)
            except queue.Empty:
                if self._process.poll() is not None:
                    # A process that it started may hold the pipe open; what it has said itself is there by now.
                    with contextlib.suppress(queue.Empty):
                        self._lines.put(self._lines.get(timeout=LAST_WORDS))
                    self._lines.put(None)
                    continue
                held = resident_mib(process, with_children=next(looks) % CHILDREN == 0) if process else 0.0
                base = held if base is None else base
                peak = max(peak, held - base)
                if held > memory_limit:
                    return self._end("memory limit", f"it held {held:.0f} MiB, with a limit of {memory_limit:.0f}")
                if time.monotonic() - start > time_limit:
                    return self._end("time limit", f"it took longer than {time_limit:g} s")
                continue
            spent = time.monotonic() - start
            if line is None:
                return self._end("crashed", _describe_end(self._process, self._log))
            try:
                return Answer(json.loads(line), seconds=spent, peak_mib=peak)
            except ValueError:
                return self._end("crashed", "its process wrote something else in place of an answer")

    def _end(self, ended: str, reason: str) -> Answer:
        self.close()
        return Answer({}, ended, reason)


def _environment(threads: int) -> dict[str, str]:
    """Return the environment of a worker, which finds the same modules as this process."""
    path = os.pathsep.join(one or os.getcwd() for one in sys.path)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}


def _read_lines(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    """Put the lines of a stream into a queue, and None at its end."""
    with contextlib.suppress(OSError, ValueError):
        for line in stream:
            lines.put(line)
    lines.put(None)


def _kill_with_children(process: subprocess.Popen[str]) -> None:
    try:
        every = [*psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        every = []
    process.kill()
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):  # those whose parent has ended
            os.killpg(process.pid, signal.SIGKILL)
    for one in every:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def _describe_end(process: subprocess.Popen[str], log: Path) -> str:
    """Return how a process ended, with the end of its log if that says why."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    status = process.returncode
    if status is None:
        return "its process closed the pipe"
    if status >= 0:
        return f"its process ended with exit status {status}"
    with contextlib.suppress(ValueError):
        return f"its process was ended by {signal.Signals(-status).name}{_fault(log)}"
    return f"its process was ended by signal {-status}"


def _fault(log: Path) -> str:
    """Return the first line that Python's fault handler wrote last, if any."""
    with contextlib.suppress(OSError):
        lines = log.read_bytes()[-20_000:].decode("utf-8", "replace").splitlines()
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        if fatal:
            return f" ({fatal[-1]})"
    return ""
