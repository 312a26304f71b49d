"""Write files that are either complete or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from seqlight.errors import InputError, SeqlightError
from seqlight.files.paths import as_path


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, wait: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to, which is renamed to `path` when the block ends.

    After an error nothing is left behind, and a file that had the name before is unchanged.

    Parameters
    ----------
    path : str or path
        The final name; its folder must exist. If it is a link to a file, that one is replaced, and not the link.
    wait : bool
        Whether to wait until the content is on the disk. If not, a power failure can still destroy it, until
        :func:`sync_to_disk` has been called.

    Yields
    ------
    pathlib.Path
        A path in the same folder, so that the file is renamed in one step.

    Raises
    ------
    InputError
        If `path` is no path, or that of a pipe or a device.
    OSError
        If it cannot be written, with `path` as its `filename`.

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
    final = _followed(as_path(path))
    partial = final.with_name(f"{final.name}.{os.getpid()}.partial")
    try:
        yield partial
        if wait:
            sync_to_disk(partial)
        partial.replace(final)
    except OSError as error:
        # One while a file is written, as on a full disk, has no name, and that of the temporary file says nothing.
        if error.filename in (None, str(partial)) and error.errno is not None and not isinstance(error, SeqlightError):
            error.filename = str(final)
            del error.filename2  # None would be printed
        raise
    finally:
        partial.unlink(missing_ok=True)


def _followed(path: Path) -> Path:
    """Return the file that a path leads to, which must not be a pipe or a device, such as /dev/stdout."""
    final = Path(os.path.realpath(path)) if path.is_symlink() and path.exists() else path
    if final.exists() and not (final.is_file() or final.is_dir()):
        raise InputError(f"{str(path)!r} is a pipe or a device: expected the path of a file to write.")
    return final


def sync_to_disk(path: Path) -> None:
    """Wait until a file's content is on the disk, so that a power failure cannot leave its name without it."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
