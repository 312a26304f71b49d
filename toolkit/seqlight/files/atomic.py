"""Files that are whole under their name, or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from seqlight.files.paths import as_path


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, wait: bool = True) -> Iterator[Path]:
    """Give a path beside `path` to write to; what was written gets its final name at the end.

    After an error nothing is left, and a file that had the name before is as it was.

    Parameters
    ----------
    path : str or path
        The final name; its folder must exist.
    wait : bool
        Until the content is on the disk. Without, a loss of power can still take it; :func:`sync_to_disk` waits later.

    Yields
    ------
    pathlib.Path
        In the same folder, so that renaming is one step.

    Raises
    ------
    InputError
        If it is no path.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder) / "a.txt") as partial:
    ...         _ = partial.write_text("all of it")
    ...     (Path(folder) / "a.txt").read_text()
    'all of it'
    """
    final = as_path(path)
    partial = final.with_name(f"{final.name}.{os.getpid()}.partial")
    try:
        yield partial
        if wait:
            sync_to_disk(partial)
        partial.replace(final)
    finally:
        partial.unlink(missing_ok=True)


def sync_to_disk(path: Path) -> None:
    """Wait until the content is on the disk: after a loss of power a name must not outlive what it names."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
