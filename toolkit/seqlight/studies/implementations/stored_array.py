"""Contributions that were computed elsewhere and stored, as one more implementation."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from seqlight.errors import InputError
from seqlight.studies.implementations.implementation import Implementation


def stored_array(path: str | os.PathLike[str], name: str | None = None, complete: bool = True) -> Implementation:
    """Return an implementation whose contributions are those of a .npy file, whatever the model.

    Parameters
    ----------
    path : str or os.PathLike
        Of an array of numbers, shape (rows, references, positions) or (rows, positions), in the order of the sequences
        and references of the study.
    name : str, optional
        As it is called in tables; None for the name of the file without its ending.
    complete : bool
        Whether they should sum to the output difference, so that a miss is a fault; False for methods that promise no
        such thing.

    Raises
    ------
    InputError
        If there is no such file, or it is no array of numbers.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from seqlight.studies import stored_array
    >>> path = getfixture("tmp_path") / "theirs.npy"
    >>> np.save(path, np.zeros((2, 10)))
    >>> theirs = stored_array(path)
    >>> theirs.name
    'theirs'
    >>> theirs.contributions(torch.nn.Identity(), torch.zeros(2, 4, 10), torch.zeros(2, 1, 4, 10), (), 0, 0).shape
    torch.Size([2, 10])
    """
    path = Path(path).absolute()
    _open(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = path.stem if name is None else name
    # The digest is part of the function, so that a file that has changed is another implementation.
    return StoredArray(name, name, "numpy", partial(_contributions, path, digest), complete=complete)


class StoredArray(Implementation):
    """A file of contributions, which has no version."""

    @property
    def version(self) -> str:
        """Nothing: what made the file is not known."""
        return ""


def _contributions(
    path: Path,
    digest: str,
    model: nn.Module,
    X: Tensor,
    references: Tensor,
    args: tuple[Tensor, ...],
    target: int,
    random_state: int,
) -> Tensor:
    array = _open(path)
    (rows, _, positions), n = X.shape, references.shape[1]
    if array.shape not in ((rows, positions), (rows, n, positions)):
        raise InputError(
            f"{path} has the shape {array.shape}: expected (rows, positions), here {(rows, positions)}, or (rows, "
            f"references, positions), here {(rows, n, positions)}; contributions of letters are to be summed."
        )
    return torch.from_numpy(np.array(array, dtype=np.float64)).to(X.dtype)


def _open(path: Path) -> np.memmap:
    """Return the array of a file, mapped and not read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): expected an array, as numpy.save writes it.") from error
    if not isinstance(array, np.memmap) or array.dtype.kind not in "fiu":
        raise InputError(f"{path} holds {getattr(array, 'dtype', 'several arrays')}: expected one array of numbers.")
    return array
