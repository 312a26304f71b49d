"""A tab-separated line for each row: what was predicted, or what its attributions sum to."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.exports.export_job import ExportJob
from seqlight.files.abandoned_files import remove_abandoned
from seqlight.files.atomic import atomic_write

# Spreadsheets and people read no more columns than this.
MOST_COLUMNS = 2_000


def check_table(job: ExportJob) -> None:
    """Raise InputError if a row has more numbers than a line should hold."""
    if job.kind == "attributions":
        return
    for name in job.results.names:
        shape = job.results[name].shape
        if len(shape) > 2 or (len(shape) == 2 and shape[1] > MOST_COLUMNS):
            raise InputError(
                f"{name!r} has shape {shape}, too many numbers for a line of a table: use npz, hdf5 or zarr."
            )


def write_table(job: ExportJob) -> list[Path]:
    """Write a line for each row: its number, name and locus, and its predictions, or a summary of its attributions."""
    path = job.out / f"{job.kind}.tsv"
    blocks = _summaries(job) if job.kind == "attributions" else _predictions(job)
    first = 0
    remove_abandoned(path)
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        for columns in blocks:
            n = len(next(iter(columns.values())))
            table = pd.DataFrame(_places(job, first, first + n) | columns)
            table.to_csv(file, sep="\t", index=False, header=not first, lineterminator="\n", na_rep="NA")
            first += n
    return [path]


def _places(job: ExportJob, first: int, last: int) -> dict[str, Any]:
    """Return number, name and locus of some rows."""
    rows, loci = slice(first, last), job.results.loci
    columns: dict[str, Any] = {"row": np.arange(first, last)}
    if job.results.row_names is not None:
        columns["name"] = job.labels[rows]
    return columns if loci is None else columns | {name: one[rows] for name, one in loci._asdict().items()}


def _predictions(job: ExportJob) -> Iterator[dict[str, NDArray[Any]]]:
    columns = {name: job.results[name].blocks() for name in job.results.names}
    for blocks in zip(*columns.values(), strict=True):
        found: dict[str, NDArray[Any]] = {}
        for name, block in zip(columns, blocks, strict=True):
            found |= {name: block} if block.ndim == 1 else {f"{name}_{k}": block[:, k] for k in range(block.shape[1])}
        yield found


def _summaries(job: ExportJob) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield, for each target, the output, the mean output of references, and the sum of attributions."""
    names = [one for one in ("attributions", "outputs", "reference_outputs", "deltas") if one in job.results]
    for blocks in zip(*(job.results[name].blocks() for name in names), strict=True):
        arrays, found = dict(zip(names, blocks, strict=True)), dict[str, NDArray[Any]]()
        for suffix, target in job.targets.items():
            mine = {name: one if target is None else one[:, target] for name, one in arrays.items()}
            found |= {f"{name}{suffix}": one for name, one in _summary(mine).items()}
        yield found


def _summary(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    if "outputs" in arrays:
        found["output"] = arrays["outputs"]
    if "reference_outputs" in arrays:
        found["reference_output"] = _over_references(np.nanmean, arrays["reference_outputs"])
    found["attribution_sum"] = arrays["attributions"].sum(axis=(1, 2))
    if "deltas" in arrays:
        found["largest_delta"] = _over_references(np.nanmax, np.abs(arrays["deltas"]))
    return found


def _over_references(reduce: Callable[..., NDArray[Any]], array: NDArray[Any]) -> NDArray[Any]:
    """Return a number for each row; those with fewer references than others are filled with NaN."""
    with warnings.catch_warnings():
        # Of a row that is all NaN, where the model gives NaN; the table has NA there.
        warnings.simplefilter("ignore", RuntimeWarning)
        return reduce(array, axis=-1)
