"""Windows of one genome, split by chromosome, for a Lightning Trainer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from seqlight.datasets.genome_dataset import GenomeDataset
from seqlight.datasets.regions import as_regions
from seqlight.datasets.signals import SignalSource, as_signals
from seqlight.errors import InputError
from seqlight.files.source_types import File
from seqlight.formats.bed_reader import Format
from seqlight.formats.genome import GenomeSource, as_genome
from seqlight.lit.data import SequenceDataModule
from seqlight.sequence.chromosomes import chromosome_names


class GenomeDataModule(SequenceDataModule):
    """Windows around regions, split by chromosome into training, validation and test rows.

    The splits have no chromosome in common, and only training rows are augmented. The rows to predict are windows
    without y around `predict`, or around the regions on all chromosomes of the three splits, in their order. Otherwise
    this is a `SequenceDataModule` of four `GenomeDataset`.

    Parameters
    ----------
    genome : str, path or Genome
        The FASTA file. Its index, ``.fai``, is written beside it if there is none and the folder allows it; for a
        ``Genome(path, write_index=False)`` nothing is.
    regions : str or path, or sequence of them
        BED or narrowPeak files; with several, their column source can be a label.
    window : int, optional
        The length of the windows; if None, the regions themselves.
    valid_chroms, test_chroms : sequence of str
        The chromosomes of these splits.
    train_chroms : sequence of str, optional
        The chromosomes to train with; if None, all others that have regions.
    predict : str or path, or sequence of them, optional
        BED or narrowPeak files of regions to predict; if None, `regions`.
    signals : Signals, or path or sequence of paths of bigWig files, optional
        The signals to use as y. Paths are read with ``Signals(paths)``: one number for each position.
    labels : str or sequence of str, optional
        The columns of the regions to use as y.
    format, at, ends, exclude
        As in `GenomeDataset`. No windows to predict are left out.
    jitter : int
        The most positions by which a training window is shifted.
    reverse_complement : bool
        Whether half of the training windows are read from the other strand.
    batch_size, seed, workers, pin_memory
        As in `SequenceDataModule`. The seed is also that of the augmentation.

    Raises
    ------
    InputError
        If a chromosome is in two splits, a split has no rows, or a file or an argument cannot be used; see
        `GenomeDataset`.

    Examples
    --------
    >>> from seqlight.lit.genome import GenomeDataModule
    >>> from seqlight.datasets import Signals
    >>> data = GenomeDataModule(  # doctest: +SKIP
    ...     "hg38.fa", "peaks.narrowPeak", 2114, valid_chroms=["chr8"], test_chroms=["chr1"],
    ...     signals=Signals("counts.bw", window=1000), jitter=128, reverse_complement=True,
    ... )
    """

    def __init__(
        self,
        genome: GenomeSource,
        regions: Sequence[File] | File,
        window: int | None = None,
        *,
        valid_chroms: Sequence[str] = (),
        test_chroms: Sequence[str] = (),
        train_chroms: Sequence[str] | None = None,
        predict: Sequence[File] | File | None = None,
        signals: SignalSource | None = None,
        labels: str | Sequence[str] | None = None,
        format: Format = "auto",
        at: Literal["summit", "centre"] = "summit",
        ends: Literal["pad", "drop"] = "pad",
        exclude: Sequence[File] | File = (),
        jitter: int = 0,
        reverse_complement: bool = False,
        batch_size: int = 64,
        seed: int = 0,
        workers: int = 0,
        pin_memory: bool | None = None,
    ) -> None:
        shared, table, y = as_genome(genome), as_regions(regions, format), as_signals(signals)
        valid_chroms = chromosome_names(valid_chroms, "valid_chroms")
        test_chroms = chromosome_names(test_chroms, "test_chroms")
        if train_chroms is not None:
            train_chroms = chromosome_names(train_chroms, "train_chroms")
        else:
            held_out = {*valid_chroms, *test_chroms}
            train_chroms = [name for name in dict.fromkeys(table["chrom"].tolist()) if name not in held_out]
        every = [*train_chroms, *valid_chroms, *test_chroms]
        if len(set(every)) < len(every):
            name, times = Counter(every).most_common(1)[0]
            raise InputError(f"{name!r} is given {times} times as a chromosome of a split: expected it in one of them.")

        def split(chroms: Sequence[str], jitter: int = 0, reverse_complement: bool = False) -> GenomeDataset | None:
            if not chroms:
                return None
            return GenomeDataset(
                shared,
                table,
                window,
                at=at,
                signals=y,
                labels=labels,
                chroms=list(chroms),
                ends=ends,
                exclude=exclude,
                jitter=jitter,
                reverse_complement=reverse_complement,
                seed=seed,
            )

        if predict is None:
            to_predict = GenomeDataset(shared, table, window, at=at, chroms=every)
        else:
            to_predict = GenomeDataset(shared, predict, window, format=format, at=at)
        super().__init__(
            split(train_chroms, jitter, reverse_complement),
            split(valid_chroms),
            split(test_chroms),
            batch_size,
            seed,
            predict=to_predict,
            workers=workers,
            pin_memory=pin_memory,
        )

    def _how_to_give(self, name: str) -> str:
        return f"pass {name}_chroms=[...] to GenomeDataModule"

    def _how_to_type(self, name: str) -> str:
        return f"{name}_chroms in the arguments of data (init_args)"
