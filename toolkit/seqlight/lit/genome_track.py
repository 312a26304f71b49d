"""A genome as one track: attributions or predictions of every position, on any number of devices, as bigWig."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import nn

from seqlight.datasets.tiled_genome import TiledGenome
from seqlight.errors import InputError
from seqlight.exports.genome_tracks import write_genome_tracks
from seqlight.files.source_types import RegionSources
from seqlight.formats.bigwig_writer import require_bigwig_sizes
from seqlight.formats.genome import GenomeSource
from seqlight.lit.attribution_module import DeepLiftShapModule
from seqlight.lit.prediction_module import PredictModule
from seqlight.lit.run import run
from seqlight.lit.track_module import TrackModule
from seqlight.lit.window_outputs import Along
from seqlight.prediction.arguments import require_module
from seqlight.results.results import Results


def track(
    module: nn.Module,
    genome: GenomeSource,
    out: str | os.PathLike[str],
    *,
    window: int,
    tile: int | None = None,
    regions: RegionSources | None = None,
    chroms: Collection[str] | None = None,
    step: int | None = None,
    positions: Along = None,
    **settings: Any,
) -> Results:
    r"""Attribute, or predict, every position of a genome or of regions of it, and write that as bigWig.

    Windows are laid so that their middles, the tiles, lie side by side, so each position has the value of the window in
    whose middle it is. With a `step` that is smaller than a tile, tiles overlap, and a position has the mean of the
    tiles that cover it. Regions that overlap or touch each other are joined first, and nothing is written outside of
    them. A window that reaches beyond its chromosome is filled up with N; one of which no letter is known is left out,
    and its tile has no values.

    The folder holds a run as of :func:`seqlight.run`, of which only the middles are kept: 4 bytes a position, 12 GB
    for a human genome. It can be interrupted, and goes on when it is started again, in any number of processes. When
    all tiles are there, process 0 writes ``attributions.bw``, or ``predictions.bw``, in which no byte depends on the
    number of processes; with several targets ``attributions.target_0.bw``, and so on. Memory does not depend on the
    length of the genome.

    Parameters
    ----------
    module : DeepLiftShapModule, PredictModule or torch.nn.Module
        What to compute; a plain model is attributed, with 20 references for each window. Attributions are summed over
        letters. Predictions are along the window, as of a model of profiles, or a number for the window, which then is
        that of each position of its tile.
    genome : str, path or Genome
        The FASTA file. Its index, ``.fai``, is written beside it if there is none and the folder allows it; for a
        ``seqlight.datasets.Genome(path, write_index=False)`` nothing is.
    out : str or path
        A folder for the results, on a file system that all machines share.
    window : int
        Positions that the model takes.
    tile : int, optional
        Positions in the middle of each window that are kept; half of the window by default. The larger, the quicker,
        and the less of its surroundings the model sees for positions at the edge of a tile.
    regions : str, path, pandas.DataFrame or Loci, or sequence of them, optional
        A BED or narrowPeak file, or a table: what to cover. None: whole chromosomes.
    chroms : collection of str, optional
        Leave out other chromosomes.
    step : int, optional
        Positions from each tile to the next one; a tile by default.
    positions : {1, 2, "none"}, optional
        For predictions: the dimension of the output that runs along the window; "none" if each window has numbers. It
        is asked for where the shape leaves two readings, such as (rows, 600), which may be 600 positions or 600 tasks.
        A single number, fewer numbers than a tile has positions, and (rows, tracks, positions) do without.
    **settings
        As in :func:`seqlight.run`: `devices`, `batch_size`, `workers`, `progress` and so on.

    Returns
    -------
    Results
        With ``"track"``, the tiles in the order of the genome, of shape (tiles, tile), or (tiles, targets, tile).

    Raises
    ------
    InputError
        If an argument cannot be used, a region is not on its chromosome, or an output can be read in two ways and
        `positions` does not say in which.
    ResultsError, DiskError, OutOfMemory
        As in :func:`seqlight.run`; the same call continues.

    Warns
    -----
    SeqlightWarning
        If the model gives NaN or infinity for some positions, which are left out.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4 * 40, 1))
    >>> text = sl.characters(sl.random_one_hot((1, 4, 90), random_state=0)[0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "toy.fa").write_text(f">chr1\n{text}\n")
    ...     quiet = {"accelerator": "cpu", "progress": False}
    ...     found = sl.track(model, Path(folder) / "toy.fa", Path(folder) / "out", window=40, tile=10, **quiet)
    ...     found["track"].shape, (Path(folder) / "out" / "attributions.bw").exists()
    ((9, 10), True)
    """
    require_module(module)
    inner = module if isinstance(module, DeepLiftShapModule | PredictModule) else DeepLiftShapModule(module)
    tiled = TiledGenome(genome, window, tile, regions=regions, chroms=chroms, step=step)
    require_bigwig_sizes(tiled.sizes)
    if not len(tiled):
        raise InputError(
            f"there is nothing to compute: {tiled.skipped} windows of {tiled.genome.path.name} are asked for, and none "
            "has a known letter; look at `regions` and `chroms`."
        )
    results = run(TrackModule(inner, tiled.window, tiled.tile, positions), tiled, out, **settings)
    # Of processes that all run this function one writes; those that a Trainer spawned have ended.
    if not getattr(rank_zero_only, "rank", 0):
        write_genome_tracks(results, tiled, "attributions" if isinstance(inner, DeepLiftShapModule) else "predictions")
    return results
