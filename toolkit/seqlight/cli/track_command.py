"""The command ``seqlight track``: a genome, or regions of it, as one bigWig file of attributions or predictions.

The function must not have the name of a public function of ``seqlight``: jsonargparse would look it up, and load
PyTorch to print a help.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal, cast


def track_command(
    model: str,
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
    checkpoint: Path | list[Path] | None = None,
    module: str | None = None,
    init_args: dict[str, Any] | None = None,
    trusted: bool = False,
    strands: Literal["forward", "reverse", "both"] = "forward",
    positions: int | Literal["none"] | None = None,
    strand_channels: int | None = None,
    pairs: int | str = "auto",
    dtype: str | None = None,
    batch_size: int | str = "auto",
    shard_rows: int | None = None,
    workers: int = 0,
    devices: int | str = "auto",
    num_nodes: int = 1,
    strategy: str = "auto",
    accelerator: str = "auto",
    precision: str | None = None,
    identity: str | None = None,
    quiet: bool = False,
) -> None:
    r"""Attribute, or predict, a whole genome or regions of it, and write that as bigWig, on any number of devices.

    Windows are laid so that their middles, the tiles, lie side by side: each position has the value of the window
    around it. Started again after an interruption, the same command computes what is missing.

    Example:
        seqlight track --model my_models.Net --checkpoint best.ckpt --genome hg38.fa \
            --window 2114 --tile 1000 --chroms chr1 chr2 --out track --devices 8
        seqlight track --model my_models.Net --genome hg38.fa --window 2114 --regions peaks.bed --out track

    Args:
        model: Class of the model, package.module.Class or path/to/file.py:Class.
        genome: FASTA file of the genome. Nothing is written beside it.
        window: Positions that the model takes.
        out: Folder for attributions.bw, or predictions.bw, and for the results it is made of.
        regions: BED or narrowPeak file of what to cover; by default whole chromosomes. Regions that overlap are joined.
        tile: Positions in the middle of each window that are kept; by default half of the window.
        chroms: Chromosomes to take; by default all.
        step: Positions from each tile to the next one; a smaller step than a tile makes tiles overlap, whose mean is
            written.
        what: attributions, summed over letters; or predictions, along the window or a number for each.
        target: What to explain: a column, several, or a target by name, such as counts. Of predictions, what to write;
            by default all of the output, a file for each of its tracks.
        head: Which output to predict if the model returns several, by number or key.
        n_shuffles: References for each window; auto takes as many as are needed.
        random_state: Seed of the first reference.
        checkpoint: Weights of the model; several files make an ensemble, of which the mean is written.
        module: Part of the class to take, such as net.
        init_args: Arguments of the class.
        trusted: Allow the checkpoint to run code when it is loaded; only for a file that you trust.
        strands: Strands of which attributions are averaged.
        positions: Dimension of outputs that runs along the sequence, such as 2, or none; for strands.
        strand_channels: Dimension of outputs with a channel for each strand; for strands.
        pairs: Pairs of a window and a reference that go through the model at a time, which limits the memory of each
            device; auto is 32 on the CPU, and what fits into the memory of a GPU.
        dtype: Type to compute in, such as float64; by default float32 or that of the model.
        batch_size: Windows loaded at a time, for each device.
        shard_rows: Windows in each file of the results; a process that is killed loses one file.
        workers: Processes that read the genome, for each device.
        devices: Number of devices on each node; auto takes all of them.
        num_nodes: Number of machines; start the same command on each.
        strategy: Strategy of the Lightning Trainer.
        accelerator: Accelerator of the Lightning Trainer, such as cpu or gpu.
        precision: For attributions tf32, faster on a GPU, and some percent off; for predictions that of the Lightning
            Trainer, such as bf16-mixed.
        identity: Name of the model, compared instead of its code to recognise the folder of an interrupted run.
        quiet: Show no progress.
    """
    from seqlight.formats.genome import Genome
    from seqlight.lit.genome_track import track
    from seqlight.prediction.batch_size import require_batch_size

    network = _model(model, checkpoint, module, init_args, trusted)
    if what == "predictions":
        _require_forward(strands, positions, strand_channels)
        job, trainer_precision = _prediction(network, target, head, dtype, identity), precision
    else:
        network = _on_strands(network, strands, positions, strand_channels)
        _require_no_head(head)
        job = _attribution(network, target, n_shuffles, random_state, pairs, dtype, precision, identity)
        trainer_precision = None
    results = track(
        job,
        Genome(genome, write_index=False),
        out,
        window=window,
        tile=tile,
        regions=regions,
        chroms=chroms,
        step=step,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        accelerator=accelerator,
        precision=trainer_precision,
        batch_size=require_batch_size(batch_size),
        shard_rows=shard_rows,
        workers=workers,
        progress=not quiet,
    )
    for path in sorted(results.path.glob(f"{what}*.bw")):
        print(path)
    print(f"{len(results):,} windows; open the file in a genome browser, or its numbers with seqlight.open_results.")


def _model(
    model: str, checkpoint: Path | list[Path] | None, module: str | None, init_args: Any, trusted: bool
) -> list[Any]:
    """Return the model, or one for each checkpoint."""
    from seqlight.cli.models import open_model, open_models

    if isinstance(checkpoint, list):
        return open_models(model, checkpoint, module, init_args, trusted)
    return [open_model(model, checkpoint, module, init_args, trusted)]


def _on_strands(models: list[Any], strands: Any, positions: Any, strand_channels: int | None) -> list[Any]:
    """Return the models as one that is averaged over strands, if that is asked for."""
    if strands == "forward":
        return models
    from seqlight.prediction.ensemble import Ensemble

    return [Ensemble(models, strands, positions=positions, strand_channels=strand_channels)]


def _one(models: list[Any]) -> Any:
    from seqlight.prediction.ensemble import Ensemble

    return models[0] if len(models) == 1 else Ensemble(models)


def _attribution(
    models: list[Any],
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
        _one(models),
        target=0 if target is None else as_target(target),
        n_shuffles=cast("Any", n_shuffles),
        random_state=random_state,
        batch_size=require_batch_size(pairs, "pairs"),
        dtype=dtype,
        identity=identity,
        precision=require_precision(precision),
    )


def _prediction(models: list[Any], target: Any, head: int | str | None, dtype: str | None, identity: str | None) -> Any:
    from seqlight.errors import InputError
    from seqlight.lit.prediction_module import PredictModule
    from seqlight.lit.track_module import select_track
    from seqlight.targets import as_target
    from seqlight.targets.heads import select_head

    func: Any = None if head is None else functools.partial(select_head, head=head)
    if target is not None:
        func = as_target(target)
        if isinstance(func, int):
            func = functools.partial(select_track, index=func, head=head)
        elif not callable(func) or head is not None:
            raise InputError(
                f"target is {target!r}, and predictions are written of one: expected a track such as 0, or a target by "
                "name, which takes its head in brackets, as counts(head=1); without --target all tracks are written."
            )
    return PredictModule(_one(models), func=func, dtype=dtype, identity=identity)


def _require_forward(strands: str, positions: Any, strand_channels: int | None) -> None:
    from seqlight.errors import InputError

    if strands != "forward" or positions is not None or strand_channels is not None:
        raise InputError(
            "strands, positions and strand_channels are for attributions: expected none of them with --what "
            "predictions; average strands in the model."
        )


def _require_no_head(head: Any) -> None:
    from seqlight.errors import InputError

    if head is not None:
        raise InputError("head is for predictions: for attributions choose it in --target, as counts(head=1).")
