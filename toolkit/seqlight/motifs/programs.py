"""Find programs that are installed, and run them with their output in a file."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from seqlight.errors import ResultsError

# How much of what a program said last is in the message of an error.
LAST = 200


def find_program(name: str) -> str | None:
    """Return the path of a program: that of this environment, else the first on the PATH; None if there is none."""
    here = str(Path(sys.executable).parent)
    return shutil.which(name, path=os.pathsep.join([here, os.environ.get("PATH", "")]))


def spell(command: Sequence[str | os.PathLike[str]]) -> str:
    """Return a command as one types it.

    Examples
    --------
    >>> spell(["modisco", "motifs", "-o", "my motifs.h5"])
    "modisco motifs -o 'my motifs.h5'"
    """
    return shlex.join([os.fspath(part) for part in command])


def run_program(command: Sequence[str | os.PathLike[str]], log: Path) -> None:
    """Run a program, and write what it prints to a file.

    Raises
    ------
    ResultsError
        If it fails; the message has its last line, and the file.
    """
    with log.open("w", encoding="utf-8") as file:
        file.write(f"$ {spell(command)}\n")
        file.flush()
        # In a session of its own, so that an interruption ends the processes that it has started too.
        process = subprocess.Popen(
            [os.fspath(one) for one in command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait()
        except BaseException:
            _kill(process)
            raise
    if status:
        lines = [one for one in log.read_text(encoding="utf-8", errors="replace").splitlines() if one.strip()]
        name = Path(os.fspath(command[0])).name
        raise ResultsError(
            f"{name} failed with exit status {status} ({lines[-1].strip()[-LAST:]}): all that it said is in "
            f"{log}, whose first line is the command."
        )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it has started."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
