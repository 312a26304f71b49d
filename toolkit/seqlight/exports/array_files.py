"""All arrays of a run in one file: npz, HDF5 or Zarr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seqlight.exports.export_job import ExportJob
from seqlight.results.consolidation import require_free, write_arrays


def check_arrays(suffix: str) -> Callable[[ExportJob], None]:
    """Return a function that raises InputError if the file cannot have its name."""

    def check(job: ExportJob) -> None:
        require_free(job.out / f"{job.kind}{suffix}", job.results)

    return check


def write_file(suffix: str) -> Callable[[ExportJob], list[Path]]:
    """Return a function that writes all arrays under their names, and loci, as :func:`seqlight.consolidate` does."""

    def write(job: ExportJob) -> list[Path]:
        path = job.out / f"{job.kind}{suffix}"
        write_arrays(job.results, path, job.results.names)
        return [path]

    return write
