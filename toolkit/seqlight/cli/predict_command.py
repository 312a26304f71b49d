"""The command ``seqlight predict``: predictions for a file of sequences, on any devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from seqlight.cli.flat_signature import flat_signature
from seqlight.cli.shared_options import NETWORK, RUN, NetworkOptions, RunOptions


@flat_signature
def predict_command(
    model: str | dict[str, Any] | None,
    data: dict[str, Any] | Path,
    out: Path,
    target: int | str | dict[str, Any] | None = None,
    network: NetworkOptions = NETWORK,
    genome: Path | None = None,
    window: int | None = None,
    alphabet: str = "DNA",
    inputs: int = 1,
    dtype: str | None = None,
    run: RunOptions = RUN,
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
        genome: FASTA file of the genome, plain or by bgzip, for regions.
        window: Positions around the summit or centre of each region; by default the regions themselves.
        alphabet: DNA, RNA, protein, or the letters in the order of the rows.
        inputs: Number of arrays of the .npz that the model takes, X first.
        dtype: Type to compute in, such as float64 or bfloat16; by default that of the model.
        precision: Precision of the Lightning Trainer, such as bf16-mixed.
        identity: Name of the model, compared instead of its code to recognise the folder of an interrupted run.
        to: What else to write into the folder: npz, hdf5, zarr, bigwig, bed, fasta, tsv.
        quiet: Show no progress.
    """
    # Lightning and the rest load here, so that --help does not wait for them.
    from seqlight.cli.data_sets import open_data
    from seqlight.cli.exports import require_exports
    from seqlight.cli.input_files import require_inputs_kept
    from seqlight.cli.runs import run_command
    from seqlight.lit.prediction_module import PredictModule

    require_inputs_kept(out, data=data, genome=genome, checkpoint=network.checkpoint)
    rows = open_data(data, genome, window, alphabet, inputs)
    exports = require_exports(to, rows, genome, alphabet)
    opened = network.open(model, alphabet)
    job = PredictModule(opened, func=_target(target), dtype=dtype, inputs=inputs, identity=identity)
    run_command(
        job,
        rows,
        out,
        alphabet,
        exports,
        ["report FOLDER", "export FOLDER --to tsv"],
        batch_size=run.batch_size,
        quiet=quiet,
        precision=precision,
        **run.settings,
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
