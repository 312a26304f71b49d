"""Temporary files that processes left which were killed while they wrote."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path


def remove_abandoned(path: Path, *, folder: bool = False) -> None:
    """Remove what killed processes left of a file, before it is written anew.

    Parameters
    ----------
    path : pathlib.Path
        The final name, as in :func:`~seqlight.files.atomic.atomic_write`. Only names that this gives to temporary files
        of it are looked at, of processes that no longer exist on this machine. Links are left alone.
    folder : bool
        Whether it is a folder, such as a Zarr store, that is written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as there:
    ...     for name in ("a.npz.4194305.partial", "b.npz.4194305.partial"):
    ...         (Path(there) / name).touch()
    ...     remove_abandoned(Path(there) / "a.npz")
    ...     [one.name for one in Path(there).iterdir()]
    ['b.npz.4194305.partial']
    """
    if not path.parent.is_dir():
        return
    temporary = re.compile(re.escape(path.name) + r"\.(\d+)\.partial")
    for left in path.parent.iterdir():
        found = temporary.fullmatch(left.name)
        if found is None or left.is_symlink() or is_alive(int(found[1])):
            continue
        if folder and left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        elif not folder and left.is_file():
            left.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Return whether there is a process of this number on this machine, other than this one."""
    if process == os.getpid() or os.name == "nt":
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
