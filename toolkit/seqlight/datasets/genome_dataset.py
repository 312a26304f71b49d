"""A dataset of windows of a genome around regions, with signals or labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.datasets.augmentation import random_flips, random_shifts
from seqlight.datasets.batched_dataset import Batch, BatchedDataset
from seqlight.datasets.regions import as_list, as_regions, warn_about_summits
from seqlight.datasets.signals import SignalSource, as_signals
from seqlight.datasets.windows import Ends, Excluded, centre_windows, inside, on_chromosomes, require_centres
from seqlight.errors import InputError, kind_of
from seqlight.files.digests import digest
from seqlight.files.source_types import RegionSources
from seqlight.formats.bed_reader import Format
from seqlight.formats.genome import GenomeSource, as_genome
from seqlight.sequence.checks import require_count
from seqlight.sequence.loci import Loci


class GenomeDataset(BatchedDataset):
    r"""Windows of one length around regions, cut from a genome when they are requested.

    An item is `X`, int8 of shape (4, window): one-hot A, C, G, T, with zeros for N and for positions off the
    chromosome. With `signals` or `labels` it is `(X, y)`. On the strand "-", X is the reverse complement and
    signals are read from the other end.

    Parameters
    ----------
    genome : str, path or Genome
        The FASTA file. Its index, ``.fai``, is written beside it if there is none and the folder allows it; for a
        ``Genome(path, write_index=False)`` nothing is.
    regions : str, path, pandas.DataFrame or Loci, or sequence of them
        A BED or narrowPeak file, see `read_bed`, or a table with the same columns. Several are concatenated, and get a
        column source, 0, 1 ..., that can serve as a label: [background, peaks].
    window : int, optional
        Positions per window. If None, the regions themselves, which must then have one length.
    format : {"auto", "bed", "bed3", "bed4", "bed5", "bed6", "narrowPeak"}
        The format of files of regions; see `read_bed`.
    at : {"summit", "centre"}
        What is at position ``window // 2``: the summit of a region that has one, else its centre,
        ``(start + end) // 2`` (as where a narrowPeak says -1); or always the centre.
    signals : Signals, or path or sequence of paths of bigWig files, optional
        y is float32 of shape (tracks, bins).
    labels : str or sequence of str, optional
        Columns of the regions. y is float32: one number for one name, of shape (labels,) for several.
    chroms : collection of str, optional
        Leave out the regions on other chromosomes.
    ends : {"pad", "drop"}
        What to do with windows that extend past the end of their chromosome: fill them with N, or leave them out.
    exclude : path or sequence of paths, optional
        BED files of stretches that no window may overlap.
    jitter : int
        Shift each window by -jitter to jitter positions, anew in each epoch, and the signals with it. "drop" and
        `exclude` consider every place that a window may be shifted to.
    reverse_complement : bool
        Read half of the windows from the other strand, other ones in each epoch.
    seed : int
        The seed of both. They depend only on the seed, the epoch and the row.

    Raises
    ------
    InputError
        If files do not match each other, a region is off its chromosome, or a setting is invalid.

    Attributes
    ----------
    loci : Loci
        The windows without jitter, in the order of the regions.
    regions : pandas.DataFrame
        The regions that have a window.
    row_names : tuple of str or None
        The column name of the regions; None if they have none, or "." for each.
    left_out : dict of str to int
        How many regions have none: on other chromosomes ("chroms"), off the ends ("ends"), excluded ("exclude").
    padded : int
        How many windows, without jitter, extend past an end of their chromosome and are filled with N there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from seqlight import characters
    >>> from seqlight.datasets import GenomeDataset
    >>> peaks = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [4, 7], "end": [6, 9], "score": [0.5, 2.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "toy.fa").write_text(">chr1\nTTGACTCANG\n")
    ...     dataset = GenomeDataset(Path(folder) / "toy.fa", peaks, window=6, labels="score")
    ...     X, y = dataset[1]
    >>> characters(X, allow_N=True), float(y), dataset.loci.start.tolist()
    ('TCANGN', 2.0, [2, 5])
    """

    loci: Loci

    def __init__(
        self,
        genome: GenomeSource,
        regions: RegionSources,
        window: int | None = None,
        *,
        format: Format = "auto",
        at: Literal["summit", "centre"] = "summit",
        signals: SignalSource | None = None,
        labels: str | Sequence[str] | None = None,
        chroms: Collection[str] | None = None,
        ends: Ends = "pad",
        exclude: RegionSources = (),
        jitter: int = 0,
        reverse_complement: bool = False,
        seed: int = 0,
    ) -> None:
        if at not in ("summit", "centre"):
            raise InputError(f"at is {at!r}: expected summit or centre.")
        if ends not in ("pad", "drop"):
            raise InputError(f"ends is {ends!r}: expected pad or drop.")
        if signals is not None and labels is not None:
            raise InputError("signals and labels were both given, and y is one of them: give one.")
        window = None if window is None else require_count(window, "window", least=1)
        self.jitter, self.seed = require_count(jitter, "jitter"), require_count(seed, "seed")
        if not isinstance(reverse_complement, bool | np.bool_):
            raise InputError(f"reverse_complement is {reverse_complement!r}: expected True or False.")
        self.reverse_complement = bool(reverse_complement)
        self.augments = bool(self.jitter or reverse_complement)
        self.genome, self.signals = as_genome(genome), as_signals(signals)
        excluded = Excluded(as_list(exclude), self.genome.sizes)

        table = as_regions(regions, format)
        if at == "summit" and window is not None:
            warn_about_summits(table)
        kept = on_chromosomes(table, chroms, self.genome.sizes)
        self.left_out = {"chroms": int((~kept).sum())}
        table = table[kept].reset_index(drop=True)
        windows = centre_windows(table, window, at)
        chrom = table["chrom"].to_numpy(dtype=object)
        sizes = self.genome.sizes
        size = np.array([sizes[name] for name in chrom.tolist()], dtype=np.int64)
        require_centres(windows, table, size)
        on = inside(windows, size, self.jitter) | (ends == "pad")
        first, last = windows.start - self.jitter, windows.start + windows.length + self.jitter
        clear = ~excluded.touch(chrom, first, last)
        self.left_out |= {"ends": int((~on).sum()), "exclude": int((on & ~clear).sum())}

        self.padded = int((on & clear & ~inside(windows, size, 0)).sum())
        self.regions = table[on & clear].reset_index(drop=True)
        self.window = windows.length
        start = windows.start[on & clear]
        names, strand = (self.regions[name].to_numpy(dtype=object) for name in ("chrom", "strand"))
        self.loci = Loci(names, start, start + self.window, strand)
        self._rows = self.genome.rows(names)
        self._turned = strand == "-"
        self._labels = None if labels is None else _labels(self.regions, labels)
        if self.signals is not None:
            self._first, self._last = self.signals.span(self.window)
            self.signals.require_genome(pd.unique(names).tolist(), sizes)

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def row_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """The names of the regions; None if they have none."""
        names = tuple(map(str, self.regions["name"].tolist())) if "name" in self.regions else ()
        return names if set(names) - {"."} else None

    def read(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> Batch:
        """Return windows, each as it is in its epoch."""
        start, turned = self._places(rows, epochs)
        X = self.genome.cut_rows(self._rows[rows], start, turned, self.window)
        if self._labels is not None:
            return X, self._labels[torch.from_numpy(rows)]
        if self.signals is None:
            return X
        # Signals are centred, so their place in the window is the same on either strand.
        y = self.signals.read(self.loci.chrom[rows], start + self._first, self._last - self._first, turned)
        return X, torch.from_numpy(y)

    def loci_in(self, epoch: int) -> Loci:
        """Return the places and strands of the windows in an epoch of training.

        Parameters
        ----------
        epoch : int
            0 or more.

        Returns
        -------
        Loci
        """
        rows = np.arange(len(self))
        start, turned = self._places(rows, np.full(len(self), require_count(epoch, "epoch"), np.int64))
        strand = self.loci.strand.copy()
        strand[turned], strand[~turned & (strand == "-")] = "-", "+"
        return Loci(self.loci.chrom, start, start + self.window, strand)

    def fingerprint(self) -> str:
        """Return a digest of genome, windows, y and settings, independent of paths; see `digest_of_file`."""
        augmentation = (self.jitter, self.reverse_complement, self.seed if self.augments else None)
        y = None if self.signals is None else self.signals.fingerprint()
        labels = None if self._labels is None else self._labels.numpy()
        return digest(self.genome.fingerprint(), *self.loci, y, labels, augmentation)

    def _places(self, rows: NDArray[np.int64], epochs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return the start of each window in its epoch, and whether it is read from the reverse strand."""
        start, turned = self.loci.start[rows], self._turned[rows]
        if self.jitter:
            start = start + random_shifts(self.seed, epochs, rows, self.jitter)
        if self.reverse_complement:
            turned = turned ^ random_flips(self.seed, epochs, rows)
        return start, turned

    def __repr__(self) -> str:
        return f"GenomeDataset({len(self):,} windows of {self.window} positions of {self.genome.path.name})"


def _labels(regions: pd.DataFrame, labels: str | Sequence[str]) -> Tensor:
    """Return columns of the regions as numbers, shape (regions,) or (regions, labels)."""
    if not labels or not isinstance(labels, str | Sequence):
        raise InputError(f"labels is {labels!r}: expected the name of a column, or several.")
    names = [labels] if isinstance(labels, str) else list(labels)
    if not len(regions):
        return torch.zeros(0, device="cpu") if isinstance(labels, str) else torch.zeros(0, len(names), device="cpu")
    for name in names:
        if name not in regions:
            raise InputError(f"the regions have no column {name!r} for labels: they have {', '.join(regions.columns)}.")
        if not pd.api.types.is_numeric_dtype(regions[name]) or pd.api.types.is_complex_dtype(regions[name]):
            raise InputError(
                f"the column {name!r} holds {kind_of(regions[name].iloc[0])}: expected numbers for labels."
            )
    values = torch.from_numpy(regions[names].to_numpy(dtype=np.float32, copy=True))
    return values[:, 0].contiguous() if isinstance(labels, str) else values
