"""Check the folder that a user wants results in, before anything is computed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from seqlight.errors import InputError
from seqlight.files.paths import as_path

# As in "s3://bucket/run", of which a Path keeps one slash; a single letter is a drive of Windows.
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def as_folder(out: Any, name: str = "out") -> Path:
    """Return the path of a folder that exists or can be made.

    Parameters
    ----------
    out : str or path
        The folder.
    name : str
        The name of the argument, for error messages.

    Raises
    ------
    InputError
        If it is no path, an address on the web, a file, below a file, or a broken link.

    Examples
    --------
    >>> as_folder("runs/first").parts
    ('runs', 'first')
    """
    path = as_path(out, name)
    # As it was given: a Path has lost one slash of an address.
    text = os.fspath(out)
    if ADDRESS.match(text):
        raise InputError(
            f"{name} is {text!r}, an address: expected a folder on a file system; copy the results there when the run "
            "has ended."
        )
    try:
        _require_folder(path, name)
    except OSError as error:
        raise InputError(f"{name} is {text!r}, which cannot be used ({error.strerror}): give another folder.") from None
    return path


def require_writable(folder: Path, name: str = "out") -> None:
    """Raise InputError unless `folder`, the argument called `name`, can be made and written to."""
    as_folder(folder, name)
    nearest = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{name} is {str(folder)!r}, and {nearest} cannot be written to: choose another.")


def _require_folder(path: Path, name: str) -> None:
    for one in (path, *path.parents):
        if one.is_dir():
            return
        if one.is_symlink() and not one.exists():
            raise InputError(f"{name} is {str(path)!r}, and {one} is a broken link: expected a folder.")
        if one.exists():
            what = "which" if one == path else f"and {one}"
            raise InputError(f"{name} is {str(path)!r}, {what} is a file: expected a folder, or a name that is free.")
