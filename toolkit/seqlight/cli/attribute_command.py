"""The command ``seqlight attribute``: attributions of a file of sequences, on any devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from seqlight.cli.flat_signature import flat_signature
from seqlight.cli.shared_options import NETWORK, RUN, NetworkOptions, RunOptions

if TYPE_CHECKING:
    from torch import nn


@flat_signature
def attribute_command(
    model: str | dict[str, Any] | None,
    data: dict[str, Any] | Path,
    out: Path,
    target: int | str | list[int] | list[str] | dict[str, Any] = 0,
    n_shuffles: int | str = 20,
    random_state: int = 0,
    hypothetical: bool = False,
    keep: list[str] | None = None,
    layers: bool | str | list[str] | None = None,
    shuffled: bool = False,
    pairs: int | str = "auto",
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
    r"""Attribute with DeepLIFT/SHAP, on any number of devices.

    Finds out which positions of each sequence made the output what it is, and by how much.

    Started again after an interruption, the same command computes what is missing.

    Example:
        seqlight attribute --model my_models.Net --checkpoint best.ckpt \
            --data peaks.bed --genome hg38.fa --window 2114 --target counts --out attributions
        seqlight attribute --config configs/attribute.yaml --target 0 1 --n-shuffles auto

    Args:
        model: Class of the model, package.module.Class or path/to/file.py:Class; null if a trusted checkpoint holds all
            of it.
        data: Sequences: FASTA; BED or narrowPeak, with --genome; or one-hot arrays, rows x letters x positions, as
            .npy, or as .npz with X and more inputs. In YAML also class_path and init_args of a Dataset.
        out: Folder for the results, which seqlight.open_results reads. Nothing is written elsewhere.
        target: What to explain: a column of the output, several, or a target by name, such as counts or
            specificity(task=3).
        n_shuffles: References for each sequence; auto takes as many as are needed.
        random_state: Seed of the first reference.
        hypothetical: Also keep the contribution that each character would have, which TF-MoDISco needs.
        keep: What to keep beside attributions: sequences, standard_error, references, multipliers, spread; by default
            sequences, and of an ensemble the spread.
        layers: Also which share of the output difference goes through what each module of the model returns, as a
            table, ledger.tsv: all, or the names of modules, of which every contribution is kept as well.
        shuffled: Attribute shuffled sequences in place of those of the data, a control for seqlight seqlets --fdr.
        pairs: Pairs of a sequence and a reference that go through the model at a time, which limits the memory of each
            device; auto is 32 on the CPU, and what fits into the memory of a GPU.
        genome: FASTA file of the genome, plain or by bgzip, for regions.
        window: Positions around the summit or centre of each region; by default the regions themselves.
        alphabet: DNA, RNA, protein, or the letters in the order of the rows.
        inputs: Number of arrays of the .npz that the model takes, X first.
        dtype: Type to compute in, such as float64; by default float32 or that of the model.
        batch_size: Sequences loaded at a time, for each device; it is pairs that limits the memory there.
        precision: tf32: convolutions and recurrent layers in TF32 on a GPU, faster, and some percent off; by default
            float32 to rounding.
        identity: Name of the model, compared instead of its code to recognise the folder of an interrupted run.
        to: What else to write into the folder: npz, hdf5, zarr, modisco, bigwig, bed, fasta, tsv.
        quiet: Show no progress.
    """
    from seqlight.cli.data_sets import open_data
    from seqlight.cli.exports import require_exports
    from seqlight.cli.input_files import require_inputs_kept
    from seqlight.cli.runs import run_command
    from seqlight.lit.attribution_module import DeepLiftShapModule
    from seqlight.prediction.batch_size import require_batch_size
    from seqlight.prediction.float32_precision import require_precision

    require_inputs_kept(out, data=data, genome=genome, checkpoint=network.checkpoint)
    rows = open_data(data, genome, window, alphabet, inputs)
    if shuffled:
        from seqlight.datasets.shuffled_dataset import ShuffledDataset

        rows = ShuffledDataset(rows, random_state=random_state)
    opened = network.open(model, alphabet)
    names = _kept(opened) if keep is None else tuple(keep)
    exports = require_exports(to, rows, genome, alphabet, (*names, "hypothetical" if hypothetical else "attributions"))
    job = DeepLiftShapModule(
        opened,
        target=cast("Any", target),
        n_shuffles=cast("Any", n_shuffles),
        random_state=random_state,
        hypothetical=hypothetical,
        keep=names,
        batch_size=require_batch_size(pairs, "pairs"),
        dtype=dtype,
        precision=require_precision(precision),
        inputs=inputs,
        identity=identity,
        layers=layers in ("all", ["all"]) or layers or False,
    )
    run_command(
        job,
        rows,
        out,
        alphabet,
        exports,
        ["seqlets FOLDER", "report FOLDER"],
        batch_size=run.batch_size,
        quiet=quiet,
        **run.settings,
    )


def _kept(network: nn.Module) -> tuple[str, ...]:
    """Return what is kept by default."""
    from math import prod

    from seqlight.prediction.ensemble import Ensemble

    several = isinstance(network, Ensemble) and prod(network.shape) > 1
    return ("sequences", "spread") if several else ("sequences",)
