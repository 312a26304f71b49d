"""Paths as users give them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from seqlight.errors import InputError, a


def as_path(source: str | os.PathLike[str], name: str = "path") -> Path:
    """Return a path, of a file or a folder that may or may not be there.

    Parameters
    ----------
    source : str or path
        What a user gave.
    name : str
        What to call it in a message.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it is something else, or nothing can have that name.

    Examples
    --------
    >>> as_path("peaks.bed").name
    'peaks.bed'
    >>> as_path(b"peaks.bed", "regions")
    Traceback (most recent call last):
    seqlight.errors.InputError: regions is a bytes: expected a path, as a str or a pathlib.Path.
    """
    text = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InputError(f"{name} is {a(source)}: expected a path, as a str or a pathlib.Path.")
    if not text or "\0" in text:
        raise InputError(f"{name} is {text!r}, which no file can be called: expected a path.")
    return Path(source)


def existing_file(source: str | os.PathLike[str], wanted: str = "a file", name: str = "path") -> Path:
    """Return the path of a file that is there and may be read.

    Parameters
    ----------
    source : str or path
        What a user gave.
    wanted : str
        What the file should be, with its article, for a message.
    name : str
        What to call the path in a message.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it is no path, or of a folder, a pipe or a device, or there is no such file, or it may not be read.

    Examples
    --------
    >>> existing_file("no/such.fa", "a FASTA file")
    Traceback (most recent call last):
    seqlight.errors.InputError: there is no file 'no/such.fa': expected a FASTA file.
    """
    path = as_path(source, name)
    shown = repr(str(path))
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"there is no file {shown}: expected {wanted}.") from None
    except OSError as error:
        raise InputError(f"{shown} cannot be read ({error.strerror}): expected {wanted}.") from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{shown} is a folder: expected {wanted}.")
    if not stat.S_ISREG(mode):
        raise InputError(f"{shown} is a pipe or a device, which can be read once at most: expected {wanted}.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{shown} cannot be read (Permission denied): expected {wanted}.")
    return path


def file_to_write(source: str | os.PathLike[str], name: str = "path") -> Path:
    """Return the path of a file that can be written: its folder is there, and no folder has its name.

    Parameters
    ----------
    source : str or path
        What a user gave.
    name : str
        What to call it in a message.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it is no path, or of a folder, or in no folder.

    Examples
    --------
    >>> file_to_write("no/such/folder/a.bed")
    Traceback (most recent call last):
    seqlight.errors.InputError: there is no folder 'no/such/folder' to write a.bed to: make it first.
    """
    path = as_path(source, name)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder: expected the path of a file to write.")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {str(path.parent)!r} to write {path.name} to: make it first.")
    return path
