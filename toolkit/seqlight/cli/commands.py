"""The commands ``seqlight predict`` and ``seqlight attribute``: runs over a file of sequences, on any devices.

The functions must not have the names of public functions of ``seqlight``: jsonargparse would look these up, and load
PyTorch to print a help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast


def predict_command(
    model: str,
    data: Path,
    out: Path,
    checkpoint: Path | None = None,
    arguments: dict[str, Any] | None = None,
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
    """Predict with a model on any number of devices; an interrupted run resumes when it is started again.

    Args:
        model: Class of the model, package.module.Class.
        data: One-hot sequences, rows x letters x positions, as .npy, or as .npz with one array or with X and more.
        out: Folder for the results, which seqlight.open_results reads.
        checkpoint: Weights of the model, a state dict or a Lightning checkpoint.
        arguments: Arguments of the class.
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
    from seqlight.lit.prediction_module import PredictModule

    module = PredictModule(
        model,
        dtype=dtype,
        inputs=inputs,
        checkpoint=checkpoint,
        arguments=arguments,
        identity=identity,
        trusted=trusted,
    )
    _run(module, data, out, batch_size, shard_rows, workers, devices, num_nodes, strategy, accelerator, precision)


def attribute_command(
    model: str,
    data: Path,
    out: Path,
    target: int | list[int] = 0,
    n_shuffles: int | str = 20,
    random_state: int = 0,
    hypothetical: bool = False,
    checkpoint: Path | None = None,
    arguments: dict[str, Any] | None = None,
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
    """Attribute with DeepLIFT/SHAP on any number of devices; an interrupted run resumes when it is started again.

    Args:
        model: Class of the model, package.module.Class.
        data: One-hot sequences, rows x letters x positions, as .npy, or as .npz with one array or with X and more.
        out: Folder for the results, which seqlight.open_results reads.
        target: Column of the output to explain, or several columns.
        n_shuffles: References for each sequence; auto takes as many as are needed.
        random_state: Seed of the first reference.
        hypothetical: Also keep the contribution that each character would have, which TF-MoDISco needs.
        checkpoint: Weights of the model, a state dict or a Lightning checkpoint.
        arguments: Arguments of the class.
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
        arguments=arguments,
        identity=identity,
        trusted=trusted,
    )
    _run(module, data, out, batch_size, shard_rows, workers, devices, num_nodes, strategy, accelerator)


def _run(
    module: Any,
    data: Path,
    out: Path,
    batch_size: int | str,
    shard_rows: int | None,
    workers: int,
    devices: int | str,
    num_nodes: int,
    strategy: str,
    accelerator: str,
    precision: str | None = None,
) -> None:
    from seqlight.lit.run import run
    from seqlight.prediction.batch_size import require_batch_size

    results = run(
        module,
        load_arrays(data, module.inputs),
        out,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        accelerator=accelerator,
        precision=precision,
        batch_size=require_batch_size(batch_size),
        shard_rows=shard_rows,
        workers=workers,
    )
    print(results)


def load_arrays(path: Path, inputs: int) -> Any:
    """Return the first arrays of a file; an .npy file is memory-mapped, so it need not fit into memory."""
    import tokenize
    import zipfile
    import zlib

    import numpy as np

    from seqlight.errors import InputError

    if path.suffix not in (".npy", ".npz"):
        raise InputError(f"data is {path.name}: expected a file that ends in .npy or .npz.")
    try:
        with path.open("rb") as file:  # NumPy would leave the file open if it is not a zip
            if path.suffix == ".npz":
                return _load_npz(np.load(file), path, inputs)
        found = np.load(path, mmap_mode="r")
        if not isinstance(found, np.ndarray):
            raise ValueError("it is a zip of arrays, whose name ends in .npz")
        return found
    except InputError:
        raise
    except (ValueError, EOFError, tokenize.TokenError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read ({str(error).splitlines()[0] if str(error) else type(error).__name__}): expected "
            f"arrays of numbers as numpy.save{'z' if path.suffix == '.npz' else ''} writes them."
        ) from None


def _load_npz(found: Any, path: Path, inputs: int) -> Any:
    from seqlight.errors import InputError

    if not hasattr(found, "files"):
        raise ValueError("it is one array, not a zip of arrays")
    with found as stored:
        names = sorted(stored.files, key=lambda name: name != "X")  # X first, the others in file order
        if (len(names) > 1 and names[0] != "X") or names == ["y"]:
            raise InputError(f"{path.name} holds {', '.join(names)}: expected one array, or the sequences as X.")
        if len(names) < inputs:
            raise InputError(f"{path.name} holds {', '.join(names)}: expected {inputs} arrays, as inputs says.")
        return tuple(stored[name] for name in names[:inputs])
