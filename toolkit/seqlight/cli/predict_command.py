"""The command ``seqlight predict``: predictions for a file of sequences, on any devices.

The function must not have the name of a public function of ``seqlight``: jsonargparse would look it up, and load
PyTorch to print a help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def predict_command(
    model: str,
    data: Path,
    out: Path,
    checkpoint: Path | None = None,
    init_args: dict[str, Any] | None = None,
    trusted: bool = False,
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
) -> None:
    r"""Predict with a model, on any number of devices.

    Started again after an interruption, the same command computes what is missing.

    Example:
        seqlight predict --model my_models.Net --checkpoint best.ckpt \
            --data sequences.npy --out predictions
        seqlight predict --config configs/predict.yaml --init-args.width 64 --devices 2

    Args:
        model: Class of the model, package.module.Class.
        data: One-hot sequences, rows x letters x positions, as .npy, or as .npz with one array or with X and more.
        out: Folder for the results, which seqlight.open_results reads.
        checkpoint: Weights of the model, a state dict or a Lightning checkpoint.
        init_args: Arguments of the class.
        trusted: Allow the checkpoint to run code when it is loaded; only for a file that you trust.
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
    """
    # Lightning and the rest load here, so that --help does not wait for them.
    from seqlight.cli.runs import run_command
    from seqlight.lit.prediction_module import PredictModule

    module = PredictModule(
        model,
        dtype=dtype,
        inputs=inputs,
        checkpoint=checkpoint,
        arguments=init_args,
        identity=identity,
        trusted=trusted,
    )
    run_command(
        module, data, out, batch_size, shard_rows, workers, devices, num_nodes, strategy, accelerator, precision
    )
