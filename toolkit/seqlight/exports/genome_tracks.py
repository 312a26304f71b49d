"""Write what a run over a tiled genome has kept as bigWig, a shard at a time."""

from __future__ import annotations

import itertools
import operator
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.datasets.tiled_genome import TiledGenome
from seqlight.errors import SeqlightWarning
from seqlight.exports.target_column import target_suffix
from seqlight.formats.bigwig_file import bigwig_file
from seqlight.formats.bigwig_writer import require_bigwig_sizes
from seqlight.formats.merged_windows import PlacedWindows, merge_windows
from seqlight.results.results import Results
from seqlight.results.run_folder import disk_errors


def write_genome_tracks(results: Results, tiled: TiledGenome, name: str) -> list[Path]:
    """Write the tiles of a run into its folder, a bigWig file for each target.

    Parameters
    ----------
    results : Results
        With "track", of shape (rows, tile) or (rows, targets, tile); or with one number for each tile.
    tiled : TiledGenome
        Where the tiles are. Where they overlap, their mean is written.
    name : str
        The name of the file, without its ending; with several targets "name.target_0", and so on.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    DiskError
        If a file cannot be written, as on a full disk.

    Warns
    -----
    SeqlightWarning
        If some values are not finite: these positions are left out.
    """
    sizes = require_bigwig_sizes(tiled.sizes)
    paths = genome_track_paths(results, name)
    for target, path in paths.items():
        source = _Tiles(results, tiled, target)
        with disk_errors(results.path, path.name), bigwig_file(path, sizes) as file:
            for chrom, blocks in source.chromosomes():
                for first, run in merge_windows(blocks, "mean", chrom):
                    for start, finite in source.finite(first, run):
                        file.add(chrom, start, finite)
        if source.left_out:
            warnings.warn(
                f"{source.left_out} positions of {path.name} are left out, where the model gives NaN or infinity.",
                SeqlightWarning,
                stacklevel=2,
            )
    return list(paths.values())


def genome_track_paths(results: Results, name: str) -> dict[int | None, Path]:
    """Return the file of each target, as :func:`write_genome_tracks` names it; of a single one by None."""
    several = bool(len(results)) and results["track"].ndim > 2
    targets = range(results["track"].shape[1]) if several else [None]
    return {target: results.path / f"{name}{target_suffix(target)}.bw" for target in targets}


class _Tiles:
    """The tiles of a run, in the order of the genome."""

    def __init__(self, results: Results, tiled: TiledGenome, target: int | None) -> None:
        self._results, self._tiled, self._target = results, tiled, target
        self._names, self.left_out = list(tiled.sizes), 0

    def chromosomes(self) -> Iterator[tuple[str, Iterator[PlacedWindows]]]:
        """Yield each chromosome that has tiles, and its tiles, some at a time, which must be taken before the next."""
        for record, parts in itertools.groupby(self._parts(), key=operator.itemgetter(0)):
            yield self._names[record], (tiles for _, tiles in parts)

    def finite(self, first: int, values: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the stretches of values that are finite in float32, and count the others."""
        with np.errstate(over="ignore"):
            there = np.isfinite(values.astype(np.float32, copy=False))
        if there.all():
            yield first, values
            return
        self.left_out += int((~there).sum())
        borders = np.flatnonzero(np.diff(there, prepend=False, append=False)).reshape(-1, 2)
        for a, b in borders.tolist():
            yield first + a, values[a:b]

    def _parts(self) -> Iterator[tuple[int, PlacedWindows]]:
        """Yield the number of a chromosome and some of its tiles; no shard stays in memory."""
        if not len(self._results):
            return
        row, length = 0, self._tiled.tile
        for block in self._results["track"].blocks():
            values = block if self._target is None else block[:, self._target]
            rows = np.arange(row, row + len(values))
            at, row = self._tiled.tiles(rows), row + len(values)
            for mine in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(at.record)) + 1):
                tiles = np.array(np.broadcast_to(values[mine], (len(mine), length)))
                placed = PlacedWindows(at.start[mine], at.low[mine], at.high[mine], rows[mine], tiles)
                yield int(at.record[mine[0]]), placed
