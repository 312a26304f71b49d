"""Check the paths that users give."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from seqlight.errors import InputError, kind_of


def as_path(source: str | os.PathLike[str], name: str = "path") -> Path:
    """Return a path to a file or a folder, which need not exist.

    Parameters
    ----------
    source : str or path
        The path as a user gave it.
    name : str
        The name of the argument, for error messages.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it is not a path, or no file can have that name.

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
        raise InputError(f"{name} is {kind_of(source)}: expected a path, as a str or a pathlib.Path.")
    if not text or "\0" in text:
        raise InputError(f"{name} is {text!r}, which no file can be called: expected a path.")
    return Path(source)


def existing_file(source: str | os.PathLike[str], wanted: str = "a file", name: str = "path") -> Path:
    """Return the path of a file that exists and may be read.

    Parameters
    ----------
    source, name
        As in `as_path`.
    wanted : str
        What the file should be, with its article, for error messages.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If there is no such file, it may not be read, or it is a folder, a pipe or a device.

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
    """Return the path of a file that can be written.

    Parameters
    ----------
    source, name
        As in `as_path`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If it is a folder, or the folder that it should be in does not exist.

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
