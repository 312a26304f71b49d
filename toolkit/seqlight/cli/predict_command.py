"""The command ``seqlight predict``: predictions for a file of sequences, on any devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast


def predict_command(
    model: str | dict[str, Any] | None,
    data: dict[str, Any] | Path,
    out: Path,
    target: int | str | dict[str, Any] | None = None,
    checkpoint: Path | list[Path] | None = None,
    module: str | None = None,
    init_args: dict[str, Any] | None = None,
    trusted: bool = False,
    strands: Literal["forward", "reverse", "both"] = "forward",
    shifts: list[int] | None = None,
    positions: int | Literal["none"] | None = None,
    strand_channels: int | None = None,
    genome: Path | None = None,
    window: int | None = None,
    alphabet: str = "DNA",
    inputs: int = 1,
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
    to: list[str] | None = None,
    quiet: bool = False,
) -> None:
    r"""Predict with a model, on any number of devices.

    Started again after an interruption, the same command computes what is missing.

    Example:
        seqlight predict --model my_models.Net --checkpoint best.ckpt \
            --data peaks.bed --genome hg38.fa --window 2114 --out predictions
        seqlight predict --config configs/predict.yaml --init-args.width 64 --devices 2

    Args:
        model: Class of the model, package.module.Class or path/to/file.py:Class; null if a trusted checkpoint holds all
            of it.
        data: Sequences: FASTA; BED or narrowPeak, with --genome; or one-hot arrays, rows x letters x positions, as
            .npy, or as .npz with X and more inputs. In YAML also class_path and init_args of a Dataset.
        out: Folder for the results, which seqlight.open_results reads. Nothing is written elsewhere.
        target: What of the output to keep: a column, or a target by name, such as counts; by default all of it.
        checkpoint: Weights of the model, a state dict, a Lightning checkpoint or safetensors; several files are the
            folds of an ensemble.
        module: Part of the class to take, such as net of a LightningModule.
        init_args: Arguments of the class, such as width=64.
        trusted: Allow the checkpoint to run code when it is loaded; only for a file that you trust.
        strands: Strands over which the model is averaged.
        shifts: Shifts of the sequence over which the model is averaged, such as -1 0 1.
        positions: Dimension of the model's output that runs along the sequence, such as 2, or none; for strands and
            shifts.
        strand_channels: Dimension of the model's output with a channel for each strand; for strands.
        genome: FASTA file of the genome, for regions.
        window: Positions around the summit or centre of each region; by default the regions themselves.
        alphabet: DNA, RNA, protein, or the letters in the order of the rows.
        inputs: Number of arrays of the .npz that the model takes, X first.
        dtype: Type to compute in, such as float64 or bfloat16; by default that of the model.
        batch_size: Rows at a time, on each device; auto is 32 on the CPU, and what fits into the memory of a GPU.
        shard_rows: Rows in each file of the results; a process that is killed loses one file.
        workers: Processes that read data, for each device.
        devices: Number of devices on each node; auto takes all of them.
        num_nodes: Number of machines; start the same command on each.
        strategy: Strategy of the Lightning Trainer.
        accelerator: Accelerator of the Lightning Trainer, such as cpu or gpu.
        precision: Precision of the Lightning Trainer, such as bf16-mixed.
        identity: Name of the model, compared instead of its code to recognise the folder of an interrupted run.
        to: What else to write into the folder: npz, hdf5, zarr, bigwig, bed, fasta, tsv.
        quiet: Show no progress.
    """
    # Lightning and the rest load here, so that --help does not wait for them.
    from seqlight.cli.data_sets import open_data
    from seqlight.cli.input_files import require_inputs_kept
    from seqlight.cli.networks import open_network
    from seqlight.cli.runs import require_exports, run_command
    from seqlight.lit.prediction_module import PredictModule

    require_inputs_kept(out, data=data, genome=genome, checkpoint=checkpoint)
    rows = open_data(data, genome, window, alphabet, inputs)
    exports = require_exports(to, rows, genome, alphabet)
    network = open_network(
        model,
        checkpoint,
        module,
        init_args,
        trusted,
        strands=strands,
        shifts=shifts,
        positions=positions,
        strand_channels=strand_channels,
        alphabet=alphabet,
    )
    job = PredictModule(network, func=_target(target), dtype=dtype, inputs=inputs, identity=identity)
    run_command(
        job,
        rows,
        out,
        exports,
        ["report FOLDER", "export FOLDER --to tsv"],
        batch_size=batch_size,
        quiet=quiet,
        shard_rows=shard_rows,
        workers=workers,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        accelerator=accelerator,
        precision=precision,
    )


def _target(target: Any) -> Any:
    """Return a function of the output."""
    from seqlight.errors import InputError
    from seqlight.targets import Column, as_target

    if target is None:
        return None
    found = as_target(target)
    if isinstance(found, int | tuple):
        return Column(cast("Any", found))
    if not callable(found):
        raise InputError(
            f"target is {target!r}: expected one column or one target by name; all columns are the default."
        )
    return found
