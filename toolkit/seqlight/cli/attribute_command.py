"""The command ``seqlight attribute``: attributions of a file of sequences, on any devices.

The function must not have the name of a public function of ``seqlight``: jsonargparse would look it up, and load
PyTorch to print a help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast


def attribute_command(
    model: str,
    data: Path,
    out: Path,
    target: int | list[int] = 0,
    n_shuffles: int | str = 20,
    random_state: int = 0,
    hypothetical: bool = False,
    checkpoint: Path | None = None,
    init_args: dict[str, Any] | None = None,
    trusted: bool = False,
    inputs: int = 1,
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
) -> None:
    r"""Attribute with DeepLIFT/SHAP, on any number of devices: which positions made the output what it is.

    Started again after an interruption, the same command computes what is missing.

    Example:
        seqlight attribute --model my_models.Net --checkpoint best.ckpt \
            --data sequences.npy --out attributions
        seqlight attribute --config configs/attribute.yaml --target 0 1 --n-shuffles auto

    Args:
        model: Class of the model, package.module.Class.
        data: One-hot sequences, rows x letters x positions, as .npy, or as .npz with one array or with X and more.
        out: Folder for the results, which seqlight.open_results reads.
        target: Column of the output to explain, or several columns.
        n_shuffles: References for each sequence; auto takes as many as are needed.
        random_state: Seed of the first reference.
        hypothetical: Also keep the contribution that each character would have, which TF-MoDISco needs.
        checkpoint: Weights of the model, a state dict or a Lightning checkpoint.
        init_args: Arguments of the class.
        trusted: Allow the checkpoint to run code when it is loaded; only for a file that you trust.
        inputs: Number of arrays of the .npz that the model takes, X first.
        pairs: Pairs of a sequence and a reference that go through the model at a time, which limits the memory of each
            device; auto is 32 on the CPU, and what fits into the memory of a GPU.
        dtype: Type to compute in, such as float64; by default float32 or that of the model.
        batch_size: Sequences loaded at a time, for each device; it is pairs that limits the memory there.
        shard_rows: Rows in each file of the results; a process that is killed loses one file.
        workers: Processes that read data, for each device.
        devices: Number of devices on each node; auto takes all of them.
        num_nodes: Number of machines; start the same command on each.
        strategy: Strategy of the Lightning Trainer.
        accelerator: Accelerator of the Lightning Trainer, such as cpu or gpu.
        precision: tf32: convolutions and recurrent layers in TF32 on a GPU, faster, and some percent off; by default
            float32 to rounding.
        identity: Name of the model, compared instead of its code to recognise the folder of an interrupted run.
    """
    from seqlight.cli.runs import run_command
    from seqlight.lit.attribution_module import DeepLiftShapModule
    from seqlight.prediction.batch_size import require_batch_size
    from seqlight.prediction.float32_precision import require_precision

    module = DeepLiftShapModule(
        model,
        target=list(target) if isinstance(target, list) else target,
        n_shuffles=cast("Any", n_shuffles),
        random_state=random_state,
        hypothetical=hypothetical,
        batch_size=require_batch_size(pairs, "pairs"),
        dtype=dtype,
        precision=require_precision(precision),
        inputs=inputs,
        checkpoint=checkpoint,
        arguments=init_args,
        identity=identity,
        trusted=trusted,
    )
    run_command(module, data, out, batch_size, shard_rows, workers, devices, num_nodes, strategy, accelerator)
