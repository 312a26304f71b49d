"""Arrays of sequences and of further inputs, from the files of NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_arrays(path: Path, inputs: int) -> Any:
    """Return the first arrays of a file; an .npy file is memory-mapped, so it need not fit into memory."""
    import tokenize
    import zipfile
    import zlib

    import numpy as np

    from seqlight.errors import InputError

    try:
        with path.open("rb") as file:  # NumPy would leave the file open if it is not a zip
            if path.suffix == ".npz" or (path.suffix != ".npy" and file.read(2) == b"PK"):
                file.seek(0)
                return _load_npz(np.load(file), path, inputs)
        found = np.load(path, mmap_mode="r")
        if not isinstance(found, np.ndarray):
            raise ValueError("it is a zip of arrays, whose name ends in .npz")
    except InputError:
        raise
    except (ValueError, EOFError, tokenize.TokenError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read ({str(error).splitlines()[0] if str(error) else type(error).__name__}): expected "
            f"arrays of numbers as numpy.save{'z' if path.suffix == '.npz' else ''} writes them."
        ) from None
    if inputs > 1:
        raise InputError(f"{path.name} holds one array, and inputs is {inputs}: expected an npz with X and more.")
    return found


def _load_npz(found: Any, path: Path, inputs: int) -> Any:
    from seqlight.errors import InputError

    if not hasattr(found, "files"):
        raise ValueError("it is one array, not a zip of arrays")
    with found as stored:
        names = sorted(stored.files, key=lambda name: name != "X")  # X first, the others in file order
        if any(one.rpartition("/")[2] == "data.pkl" for one in names):
            raise InputError(f"{path.name} is a file of torch.save: save the one-hot array in it with numpy.save.")
        if (len(names) > 1 and names[0] != "X") or names == ["y"]:
            raise InputError(f"{path.name} holds {', '.join(names)}: expected one array, or the sequences as X.")
        if len(names) < inputs:
            raise InputError(f"{path.name} holds {', '.join(names)}: expected {inputs} arrays, as inputs says.")
        return tuple(stored[name] for name in names[:inputs])
