"""A dataset of windows whose middles tile a genome, or regions of it."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqlight.datasets.batched_dataset import BatchedDataset
from seqlight.datasets.regions import as_regions
from seqlight.datasets.unknown_stretches import RELEASED, unknown_stretches
from seqlight.datasets.windows import merge_stretches, on_chromosomes
from seqlight.errors import InputError
from seqlight.files.digests import digest
from seqlight.files.source_types import RegionSources
from seqlight.formats.bed_reader import BedLines, Format
from seqlight.formats.genome import GenomeSource, as_genome, require_chromosomes
from seqlight.sequence.checks import require_count
from seqlight.sequence.chromosomes import chromosome_names


class Tiles(NamedTuple):
    """Where the tiles of some rows are.

    Attributes
    ----------
    record : numpy.ndarray, int64
        The number of the chromosome in the file.
    start : numpy.ndarray, int64
        The first position of the tile.
    low, high : numpy.ndarray, int64
        From and up to which position the tile counts: where its region, or the chromosome, starts and ends.
    """

    record: NDArray[np.int64]
    start: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


class TiledGenome(BatchedDataset):
    r"""Windows of a genome whose middles, the tiles, lie side by side and cover it, or regions of it.

    An item is `X`, int8 of shape (4, window). Regions that overlap or touch each other are joined first, so that no
    position is in two tiles unless `step` says so. Tiles begin at the start of each region or chromosome, and the last
    one may reach beyond the end. A window of which no letter is known, as in the gaps of an assembly, is left out. Rows
    are in the order of the file. What a row is, is computed when it is asked for: the memory that a genome takes does
    not depend on its length.

    Parameters
    ----------
    genome : str, path or Genome
        The FASTA file.
    window : int
        Positions per window: what the model takes.
    tile : int, optional
        Positions in the middle of each window that are kept; half of the window by default.
    regions : str, path, pandas.DataFrame or Loci, or sequence of them, optional
        What to cover, as in :class:`seqlight.GenomeDataset`; strands and summits do not matter. None: all.
    chroms : collection of str, optional
        Leave out other chromosomes.
    step : int, optional
        Positions from each tile to the next one, if they are to overlap; by default a tile.
    format : str
        The format of files of regions; see `read_bed`.

    Raises
    ------
    InputError
        If the tile is larger than the window, a region is not on its chromosome, or a chromosome is not in the genome.

    Attributes
    ----------
    skipped : int
        How many windows were left out because no letter of them is known.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from seqlight import characters
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "toy.fa").write_text(">chr1\nTTGACTCANG\n>chr2\nNNNNNNNN\n")
    ...     tiled = TiledGenome(Path(folder) / "toy.fa", window=6, tile=4)
    ...     characters(tiled.batch(range(3)), allow_N=True), tiled.skipped
    (['NTTGAC', 'ACTCAN', 'ANGNNN'], 2)
    """

    def __init__(
        self,
        genome: GenomeSource,
        window: int,
        tile: int | None = None,
        *,
        regions: RegionSources | None = None,
        chroms: Collection[str] | None = None,
        step: int | None = None,
        format: Format = "auto",
    ) -> None:
        self.window = require_count(window, "window", least=1)
        self.tile = max(1, self.window // 2) if tile is None else require_count(tile, "tile", least=1)
        if self.tile > self.window:
            raise InputError(
                f"tile is {self.tile} and window {self.window}: expected a tile that is at most the window, of which "
                "it is the middle."
            )
        self.step = self.tile if step is None else require_count(step, "step", least=1)
        if self.step > self.tile:
            raise InputError(
                f"step is {self.step} and tile {self.tile}: expected a step that is at most the tile, or positions "
                "between tiles would be left out."
            )
        self.genome = as_genome(genome)
        self._left = (self.window - self.tile) // 2
        stretches = _chromosomes(self.genome, chroms) if regions is None else _joined(
            self.genome, regions, chroms, format)  # fmt: skip
        self._since_release, self.skipped = 0, 0
        runs = [self._runs(*stretch) for stretch in stretches]
        self._fields = [np.concatenate(one) for one in zip(*runs, strict=True)] if runs else [np.zeros(0, np.int64)] * 5
        self._ends = np.cumsum(self._fields[-1])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each chromosome of the genome, in the order of the file."""
        return self.genome.sizes

    def tiles(self, rows: NDArray[np.int64]) -> Tiles:
        """Return where the tiles of some rows are."""
        run = np.searchsorted(self._ends, rows, side="right")
        record, first, low, high, count = (one[run] for one in self._fields)
        return Tiles(record, first + (rows - self._ends[run] + count) * self.step, low, high)

    def read(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Tensor:
        """Return windows."""
        at = self.tiles(rows)
        found = self.genome.cut_rows(at.record, at.start - self._left, np.zeros(len(rows), bool), self.window)
        self._since_release += len(rows) * self.window
        if self._since_release > RELEASED:
            self.genome.release()
            self._since_release = 0
        return found

    def fingerprint(self) -> str:
        """Return a digest of genome, windows and tiles, independent of paths; see `digest_of_file`."""
        return digest(self.genome.fingerprint(), self.window, self.tile, self.step, *self._fields)

    def _runs(
        self, record: int, low: NDArray[np.int64], high: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the tiles of stretches of a chromosome as runs: record, first start, low, high and how many."""
        count = np.maximum(0, -(-(high - low - self.tile) // self.step)) + 1
        stretch, first, stop = self._known(record, low, count)
        self.skipped += int(count.sum() - (stop - first).sum())
        start = low[stretch] + first * self.step
        return np.full(len(first), record, np.int64), start, low[stretch], high[stretch], stop - first

    def _known(self, record: int, low: NDArray[np.int64], count: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Return the runs of tiles whose windows have a letter: the stretch, its first tile, and the one after it."""
        size = self.genome.length_of(record)
        begin, end = unknown_stretches(self.genome, record, self.window)
        # What lies off the chromosome is unknown too.
        far = 2 * (size + self.window)
        begin, end = np.where(begin == 0, -far, begin), np.where(end == size, far, end)
        runs = list[tuple[int, int, int]]()
        for i, (at, tiles) in enumerate(zip(low.tolist(), count.tolist(), strict=True)):
            a = np.searchsorted(end, at - self._left)
            b = np.searchsorted(begin, at + tiles * self.step + self.window)
            # The first and the last tile whose window lies in the unknown stretch.
            first = np.maximum(-(-(begin[a:b] + self._left - at) // self.step), 0)
            last = np.minimum((end[a:b] - self.window + self._left - at) // self.step, tiles - 1)
            whole = first <= last
            borders = zip([0, *(last[whole] + 1).tolist()], [*first[whole].tolist(), tiles], strict=True)
            runs += [(i, x, y) for x, y in borders if x < y]
        found = np.array(runs, dtype=np.int64).reshape(-1, 3)
        return found[:, 0], found[:, 1], found[:, 2]

    def __repr__(self) -> str:
        return (
            f"TiledGenome({len(self):,} windows of {self.window} positions of {self.genome.path.name}, "
            f"of which {self.tile} are kept)"
        )


_Stretches = list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]


def _chromosomes(genome: Any, chroms: Collection[str] | None) -> _Stretches:
    """Return whole chromosomes, by number."""
    wanted = None if chroms is None else chromosome_names(chroms, "chroms")
    if wanted is not None:
        require_chromosomes(wanted, genome.sizes, f"the genome {genome.path.name}")
    return [
        (i, np.zeros(1, np.int64), np.full(1, size, np.int64))
        for i, (name, size) in enumerate(genome.sizes.items())
        if size and (wanted is None or name in wanted)
    ]


def _joined(genome: Any, regions: RegionSources, chroms: Collection[str] | None, format: Format) -> _Stretches:
    """Return the stretches of each chromosome that regions cover, by number."""
    table = as_regions(regions, format)
    kept = on_chromosomes(table, chroms, genome.sizes)
    size = table["chrom"].map(genome.sizes)
    off = np.asarray(kept & ((table["start"] < 0) | (table["end"] > size)))
    if off.any():
        row = int(off.argmax())
        what = (
            f"is not on its chromosome of {int(size.iloc[row])} positions: expected regions of the same assembly as "
            "the genome, within its chromosomes"
        )
        if isinstance(regions, str | os.PathLike):
            BedLines(regions, format).refuse(off, what)  # names the line
        chrom, start, end = (table[name].iloc[row] for name in ("chrom", "start", "end"))
        raise InputError(f"region {row}, {chrom}:{start}-{end}, {what}.")
    by_record = table[kept].groupby(genome.rows(table["chrom"][kept].to_numpy()))
    return [
        (int(record), *merge_stretches(mine["start"].to_numpy(), mine["end"].to_numpy())) for record, mine in by_record
    ]
