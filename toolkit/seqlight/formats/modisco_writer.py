"""Write the input of TF-MoDISco: ohe.npz and shap.npz, for ``modisco motifs -s ohe.npz -a shap.npz``."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError, SeqlightWarning
from seqlight.files.atomic import atomic_write
from seqlight.files.folder import as_folder
from seqlight.sequence.checks import as_tensor, require_one_hot


class ModiscoFiles(NamedTuple):
    """The files that were written.

    Attributes
    ----------
    sequences : pathlib.Path
        For ``-s``.
    attributions : pathlib.Path
        For ``-a``.
    """

    sequences: Path
    attributions: Path


def write_modisco(folder: str | os.PathLike[str], X: Tensor, hypothetical: Tensor | NDArray[Any]) -> ModiscoFiles:
    """Write sequences and hypothetical contributions for modisco-lite.

    Parameters
    ----------
    folder : str or path
        The folder to write to; it is made if there is none.
    X : torch.Tensor, shape (sequences, 4, positions)
        One-hot in the order A, C, G, T.
    hypothetical : torch.Tensor or numpy.ndarray, the same shape
        What each character would contribute: ``deep_lift_shap(..., hypothetical=True)``. TF-MoDISco multiplies
        by the sequences itself.

    Returns
    -------
    ModiscoFiles
        ``folder/ohe.npz`` (int8) and ``folder/shap.npz`` (float32), each an array named arr_0.

    Raises
    ------
    InputError
        If `X` is not one-hot of four letters, or `hypothetical` has another shape or is not finite.

    Warns
    -----
    SeqlightWarning
        If `hypothetical` is 0 for all characters that are not in the sequences.

    Notes
    -----
    ``modisco motifs`` looks at 400 positions around the middle of each sequence unless ``-w`` says otherwise.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from seqlight import random_one_hot
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_modisco(folder, random_one_hot((2, 4, 50)), torch.zeros(2, 4, 50)).attributions.name
    'shap.npz'
    """
    X = require_one_hot(X)
    if X.shape[1] != 4:
        raise InputError(f"X has {X.shape[1]} letters: TF-MoDISco expects four, A, C, G and T.")
    scores = as_tensor(hypothetical, "hypothetical").detach()
    if scores.shape != X.shape:
        raise InputError(f"hypothetical has shape {tuple(scores.shape)} and X {tuple(X.shape)}: expected the same.")
    if not bool(torch.isfinite(scores).all()):
        raise InputError("hypothetical holds NaN or infinity: expected finite contributions.")
    if bool(scores.any()) and not bool(scores[X.to(scores.device) == 0].any()):
        warnings.warn(
            "hypothetical is 0 for every character that is not there, as attributions are, and TF-MoDISco needs what "
            "these would contribute: pass the result of deep_lift_shap(..., hypothetical=True).",
            SeqlightWarning,
            stacklevel=2,
        )
    to = as_folder(folder, "folder")
    to.mkdir(parents=True, exist_ok=True)
    files = ModiscoFiles(to / "ohe.npz", to / "shap.npz")
    _write(files.sequences, X.to("cpu", torch.int8).numpy())
    _write(files.attributions, scores.to("cpu", torch.float32).numpy())
    return files


def _write(path: Path, array: NDArray[Any]) -> None:
    with atomic_write(path) as partial, partial.open("wb") as file:  # NumPy would add .npz to a name
        np.savez_compressed(file, array)
