"""What a command says on the terminal: plain lines, and of several processes the first one alone speaks."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from seqlight.errors import MemoryWarning, ReferencesWarning, SeqlightWarning

# Set for each process by Lightning, torchrun and Slurm.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
# What holds for the rows or the device of one process; the rest is the same in all.
OF_ONE_PROCESS = (MemoryWarning, ReferencesWarning)


def process_number() -> int:
    """Return the number of this process of a run, as far as its environment says; 0 if it is the only one."""
    return max((int(os.environ[one]) for one in RANKS if os.environ.get(one, "").isdigit()), default=0)


def say(text: str) -> None:
    """Print a line on stderr, above a progress bar if there is one."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    with contextlib.suppress(OSError, ValueError):  # closed: nobody listens
        if tqdm is not None:
            tqdm.write(f"seqlight: {text}", file=sys.stderr)
        else:
            print(f"seqlight: {text}", file=sys.stderr)


@contextlib.contextmanager
def plain_messages() -> Iterator[None]:
    """Print warnings of seqlight as plain lines meanwhile, and let the first of several processes alone speak."""
    number = process_number()
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # Of Lightning, about itself.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        stack.enter_context(_level("lightning.fabric.utilities.distributed", logging.WARNING))
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if number and not issubclass(category, OF_ONE_PROCESS):
                return
            if issubclass(category, SeqlightWarning):
                where = f" (process {number})" if number else ""
                say(f"warning{where}: {' '.join(str(message).split())}")
            else:
                others(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        if number:
            silence: Any = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        yield


@contextlib.contextmanager
def _level(name: str, least: int) -> Iterator[None]:
    """Let a logger print messages of a level and above alone meanwhile."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(max(before, least))
    try:
        yield
    finally:
        logger.setLevel(before)


def is_reported_by_first(parent: int, seconds: float = 10.0) -> bool:
    """Return whether the first process reports an error, and this one need not: whether it ends soon, too.

    Parameters
    ----------
    parent : int
        The process that started this one. Of those that Lightning starts, it is the first process of the run.
    seconds : float
        How long to wait for its end.
    """
    if not process_number():
        return False
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        if os.getppid() != parent:
            return True
        time.sleep(0.05)
    return False


def leave_closed_pipe() -> None:
    """Let nothing more be written to a pipe that its reader has closed, as ``head`` does, also when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
