"""The input of TF-MoDISco, written a shard at a time: ``modisco motifs -s sequences.npz -a attributions.npz``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError, SeqlightWarning
from seqlight.exports.export_job import ExportJob
from seqlight.exports.target_column import TargetColumn, target_column
from seqlight.files.abandoned_files import remove_abandoned
from seqlight.formats.npz_writer import ArrayBlocks, write_npz
from seqlight.results.consolidation import require_modisco_letters
from seqlight.results.results import Results

FOLDER = "modisco"
ADVICE = "attribute again with `--hypothetical`, in Python DeepLiftShapModule(..., hypothetical=True)"


def check_modisco(job: ExportJob) -> None:
    """Raise InputError unless the run kept sequences of four letters, and hypothetical contributions."""
    require_modisco(job.results, job.alphabet)


def require_modisco(results: Results, alphabet: str | None = None) -> None:
    """Raise InputError unless a run kept sequences of A, C, G and T, in this order, and hypothetical contributions."""
    for name in ("hypothetical", "sequences"):
        if name not in results:
            raise InputError(f"there is no {name!r} in {results.path}, which TF-MoDISco needs: {ADVICE}.")
    n = results["sequences"].shape[1]
    if n != 4:
        raise InputError(f"{results.path} has sequences of {n} letters: TF-MoDISco expects four, A, C, G and T.")
    require_modisco_letters(results, alphabet)


def write_modisco_input(job: ExportJob) -> list[Path]:
    """Write sequences, and hypothetical contributions of each target, of shape (rows, 4, positions)."""
    folder = job.out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "sequences.npz"]
    remove_abandoned(paths[0])
    sequences = job.results["sequences"]
    int8 = (block.astype(np.int8, copy=False) for block in sequences.blocks())
    write_npz(paths[0], {"arr_0": ArrayBlocks(sequences.shape, np.dtype(np.int8), int8)})
    for suffix, target in job.targets.items():
        column = target_column(job.results, "hypothetical", target)
        paths.append(folder / f"attributions{suffix}.npz")
        remove_abandoned(paths[-1])
        blocks = ArrayBlocks(column.shape, np.dtype(np.float32), _checked_blocks(job, column))
        write_npz(paths[-1], {"arr_0": blocks})
    return paths


def _checked_blocks(job: ExportJob, column: TargetColumn) -> Iterator[NDArray[Any]]:
    elsewhere = anywhere = False
    for block, sequences in zip(column.blocks(), job.results["sequences"].blocks(), strict=True):
        if not np.isfinite(block).all():
            raise InputError(f"hypothetical holds NaN or infinity in {job.results.path}: expected finite numbers.")
        anywhere = anywhere or bool(block.any())
        elsewhere = elsewhere or bool(block[sequences == 0].any())
        yield block.astype(np.float32, copy=False)
    if anywhere and not elsewhere:
        warnings.warn(
            f"hypothetical in {job.results.path} is 0 for every character that is not there, as attributions are, and "
            f"TF-MoDISco needs what these would contribute: {ADVICE}.",
            SeqlightWarning,
            stacklevel=2,
        )
