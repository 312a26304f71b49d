"""The command ``seqlight track``: a genome, or regions of it, as one bigWig file of attributions or predictions."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal, cast

from seqlight.cli.flat_signature import flat_signature
from seqlight.cli.shared_options import NETWORK, RUN, NetworkOptions, RunOptions


@flat_signature
def track_command(
    model: str | dict[str, Any] | None,
    genome: Path,
    window: int,
    out: Path,
    regions: Path | None = None,
    tile: int | None = None,
    chroms: list[str] | None = None,
    step: int | None = None,
    what: Literal["attributions", "predictions"] = "attributions",
    target: int | str | list[int] | list[str] | dict[str, Any] | None = None,
    head: int | str | None = None,
    n_shuffles: int | str = 20,
    random_state: int = 0,
    network: NetworkOptions = NETWORK,
    pairs: int | str = "auto",
    dtype: str | None = None,
    run: RunOptions = RUN,
    precision: str | None = None,
    identity: str | None = None,
    quiet: bool = False,
) -> None:
    r"""Attribute or predict a whole genome, or regions of it, as one bigWig file.

    Windows are laid so that their middles, the tiles, lie side by side: each position has the value of the window
    around it. Started again after an interruption, the same command computes what is missing.

    Example:
        seqlight track --model my_models.Net --checkpoint best.ckpt --genome hg38.fa \
            --window 2114 --tile 1000 --chroms chr1 chr2 --out track --devices 8
        seqlight track --model my_models.Net --genome hg38.fa --window 2114 --regions peaks.bed --out track

    Args:
        model: Class of the model, package.module.Class or path/to/file.py:Class; null if a trusted checkpoint holds all
            of it.
        genome: FASTA file of the genome, plain or by bgzip. Nothing is written beside it.
        window: Positions that the model takes.
        out: Folder for attributions.bw, or predictions.bw, and for the results it is made of.
        regions: BED or narrowPeak file of what to cover; by default whole chromosomes. Regions that overlap are joined.
        tile: Positions in the middle of each window that are kept; by default half of the window.
        chroms: Chromosomes to take; by default all.
        step: Positions from each tile to the next one; a smaller step than a tile makes tiles overlap, whose mean is
            written.
        what: attributions, summed over letters; or predictions, along the window or a number for each.
        target: What to explain: a column, several, or a target by name, such as counts. Of predictions, the one to
            write; by default all of the output, or of its head, a file for each of its tracks.
        head: Which output to predict if the model returns several, by number or key.
        n_shuffles: References for each window; auto takes as many as are needed.
        random_state: Seed of the first reference.
        checkpoint: Weights of the model, a state dict, a Lightning checkpoint or safetensors; several files are the
            folds of an ensemble, whose mean is written.
        positions: Dimension of the model's output that runs along the sequence, such as 2, or none; for strands and
            shifts of a model of profiles, and for predictions whose shape can be read in two ways.
        pairs: Pairs of a window and a reference that go through the model at a time, which limits the memory of each
            device; auto is 32 on the CPU, and what fits into the memory of a GPU.
        dtype: Type to compute in, such as float64; by default float32 or that of the model.
        batch_size: Windows loaded at a time, for each device.
        shard_rows: Windows in each file of the results; a process that is killed loses one file.
        workers: Processes that read the genome, for each device.
        precision: For attributions tf32, faster on a GPU, and some percent off; for predictions that of the Lightning
            Trainer, such as bf16-mixed.
        identity: Name of the model, compared instead of its code to recognise the folder of an interrupted run.
        quiet: Show no progress.
    """
    from seqlight.cli.console import process_number
    from seqlight.exports.genome_tracks import genome_track_paths
    from seqlight.formats.genome import Genome
    from seqlight.lit.genome_track import track
    from seqlight.lit.prediction_module import PredictModule
    from seqlight.prediction.batch_size import require_batch_size

    predicts, along, positions = what == "predictions", None, network.positions
    sequences = Genome(genome, write_index=False)
    if predicts and network.several:
        _require_positions(positions)
    opened = network.open(model)
    if predicts:
        func = _selection(target, head, window, tile, positions)
        # That of an ensemble is a dimension of its output, and not of what a target by name makes of it.
        named = target is not None and not isinstance(func, functools.partial)
        along = None if network.several and named and positions != "none" else positions
        job = PredictModule(opened, func=func, dtype=dtype, identity=identity)
    else:
        _require_no_head(head)
        job = _attribution(opened, target, n_shuffles, random_state, pairs, dtype, precision, identity)
    results = track(
        job,
        sequences,
        out,
        window=window,
        tile=tile,
        regions=regions,
        chroms=chroms,
        step=step,
        positions=along,
        precision=precision if predicts else None,
        batch_size=require_batch_size(run.batch_size),
        progress=not quiet,
        **run.settings,
    )
    if process_number():
        return  # the first process does the rest
    for path in genome_track_paths(results, what).values():
        print(path)
    print(f"{len(results):,} windows; open the file in a genome browser, or its numbers with seqlight.open_results.")


def _require_positions(positions: int | Literal["none"] | None) -> None:
    """Raise InputError if predictions of strands or shifts have no dimension of positions."""
    from seqlight.errors import InputError

    if positions is None:
        raise InputError(
            "predictions on other strands or shifts have to be turned and moved back: expected --positions, the "
            "dimension of the output that runs along the sequence, such as 2, or none."
        )


def _attribution(
    network: Any,
    target: Any,
    n_shuffles: int | str,
    random_state: int,
    pairs: int | str,
    dtype: str | None,
    precision: str | None,
    identity: str | None,
) -> Any:
    from seqlight.lit.attribution_module import DeepLiftShapModule
    from seqlight.prediction.batch_size import require_batch_size
    from seqlight.prediction.float32_precision import require_precision
    from seqlight.targets import as_target

    return DeepLiftShapModule(
        network,
        target=0 if target is None else as_target(target),
        n_shuffles=cast("Any", n_shuffles),
        random_state=random_state,
        batch_size=require_batch_size(pairs, "pairs"),
        dtype=dtype,
        identity=identity,
        precision=require_precision(precision),
    )


def _selection(target: Any, head: int | str | None, window: int, tile: int | None, positions: Any) -> Any:
    """Return a function that takes what is written from the model's output; None if all of it is."""
    from seqlight.errors import InputError
    from seqlight.lit.window_outputs import select_track
    from seqlight.targets import as_target
    from seqlight.targets.heads import select_head

    if target is None:
        return None if head is None else functools.partial(select_head, head=head)
    found: Any = as_target(target)
    if isinstance(found, int):
        cut = {"window": window, "tile": max(1, window // 2) if tile is None else tile, "positions": positions}
        return functools.partial(select_track, index=found, head=head, **cut)
    if not callable(found) or head is not None:
        raise InputError(
            f"target is {target!r}, and predictions are written of one: expected a track such as 0, or a target by "
            "name, which takes its head in brackets, as counts(head=1); several targets are for attributions, and "
            "without --target all tracks of the output, or of its --head, are written."
        )
    return found


def _require_no_head(head: Any) -> None:
    from seqlight.errors import InputError

    if head is not None:
        raise InputError("head is for predictions: for attributions choose it in --target, as counts(head=1).")
