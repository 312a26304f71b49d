"""The data of a command: a file, or the class of a data set with its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def open_data(
    data: Path | Mapping[str, Any],
    genome: Path | None = None,
    window: int | None = None,
    alphabet: str = "DNA",
    inputs: int = 1,
) -> Any:
    """Return the rows of a file, as :func:`seqlight.cli.sequences.open_sequences` does, or those of a data set.

    Parameters
    ----------
    data : path, or mapping
        A file; or ``class_path`` and ``init_args`` of a Dataset or LightningDataModule of any package.
    genome, window, alphabet, inputs
        As in :func:`seqlight.cli.sequences.open_sequences`.

    Raises
    ------
    InputError
        If the data cannot be read, or there is no such class, or its arguments do not fit.
    """
    if isinstance(data, Mapping):
        return _make(data)
    from seqlight.cli.sequences import open_sequences

    return open_sequences(data, genome, window, alphabet, inputs)


def _make(described: Mapping[str, Any]) -> Any:
    """Return an object of a class, whose arguments may be objects that are described in the same way."""
    from importlib import import_module

    from jsonargparse import ArgumentError, ArgumentParser

    from seqlight.cli.refusals import one_line
    from seqlight.errors import InputError

    path, arguments = str(described.get("class_path", "")), described.get("init_args") or {}
    if set(described) - {"class_path", "init_args"} or "." not in path:
        raise InputError(f"data is {dict(described)!r}: expected class_path and, if needed, init_args.")
    package, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(package), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"data is {path!r}, which is not found ({error}): expected 'package.module.Class'.") from None
    if not isinstance(found, type):
        raise InputError(f"data is {path!r}, which is no class: expected that of a Dataset or LightningDataModule.")
    parser = ArgumentParser(exit_on_error=False)
    try:
        parser.add_class_arguments(found, "data", fail_untyped=False)
        return parser.instantiate(parser.parse_object({"data": arguments})).data
    except ArgumentError as error:
        raise InputError(f"init_args of {path} cannot be used: {one_line(error).rstrip('.')}.") from None
