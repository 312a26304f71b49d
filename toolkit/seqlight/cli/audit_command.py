"""The command ``seqlight audit``: how each operation of a model is explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# As many as an audit explains.
MOST_ROWS = 4


def audit_command(
    model: str | dict[str, Any] | None,
    data: Path,
    out: Path | None = None,
    target: int | str | dict[str, Any] = 0,
    n_shuffles: int = 2,
    random_state: int = 0,
    checkpoint: Path | None = None,
    module: str | None = None,
    init_args: dict[str, Any] | None = None,
    trusted: bool = False,
    genome: Path | None = None,
    window: int | None = None,
    alphabet: str = "DNA",
    inputs: int = 1,
    rows: int = 4,
    dtype: str = "float64",
    strict: bool = False,
) -> None:
    """Find out how each operation of a model is explained, and whether that is complete.

    Prints a table of the operations. A model whose attributions do not sum to the output difference is no error, unless
    --strict makes it one.

    Example:
        seqlight audit --model my_models.Net --checkpoint best.ckpt --data peaks.fa
        seqlight audit --model my_models.Net --data sequences.npy --out audit --strict

    Args:
        model: Class of the model, package.module.Class or path/to/file.py:Class; null if a trusted checkpoint holds all
            of it.
        data: Sequences: FASTA; BED or narrowPeak, with --genome; or one-hot arrays, rows x letters x positions, as
            .npy, or as .npz with X and more inputs.
        out: Folder for the table, as audit.tsv, and for all that was found, as audit.json.
        target: What to explain: a column of the output, or a target by name, such as counts or specificity(task=3).
        n_shuffles: References for each sequence.
        random_state: Seed of the first reference.
        checkpoint: Weights of the model, a state dict, a Lightning checkpoint or safetensors.
        module: Part of the class to take, such as net of a LightningModule.
        init_args: Arguments of the class, such as width=64.
        trusted: Allow the checkpoint to run code when it is loaded; only for a file that you trust.
        genome: FASTA file of the genome, plain or by bgzip, for regions.
        window: Positions around the summit or centre of each region; by default the regions themselves.
        alphabet: DNA, RNA, protein, or the letters in the order of the rows.
        inputs: Number of arrays of the .npz that the model takes, X first.
        rows: How many sequences, evenly spaced in the file, 1 to 4.
        dtype: Type to compute in; in float64 rounding does not interfere.
        strict: End with exit status 1 if attributions are not complete, for continuous integration.
    """
    import seqlight
    from seqlight.cli.networks import open_network
    from seqlight.cli.sequences import read_some
    from seqlight.errors import InputError
    from seqlight.targets import as_target

    if not 1 <= rows <= MOST_ROWS:
        raise InputError(f"rows is {rows}: expected 1 to {MOST_ROWS}, for a model treats the others in the same way.")
    X, *args = read_some(data, rows, genome, window, inputs, alphabet)
    network = open_network(model, checkpoint, module, init_args, trusted)
    found = seqlight.audit(
        network, X, args, target=as_target(target), n_shuffles=n_shuffles, dtype=dtype, random_state=random_state
    ).typed
    print(found)
    if out is not None:
        _write(found, out)
        print(f"\n{out / 'audit.tsv'}\n{out / 'audit.json'}")
    if strict and not found.complete:
        raise InputError("attributions of this model are not complete, and --strict asks for it: see the table.")


def _write(found: Any, out: Path) -> None:
    """Write the table for people and programs that read tables, and everything for others."""
    import json
    import math

    from seqlight.files.atomic import atomic_write
    from seqlight.files.folder import as_folder

    as_folder(out).mkdir(parents=True, exist_ok=True)
    rows = [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        for row in found.table.to_dict("records")
    ]
    said = {
        "complete": bool(found.complete),
        "lost": None if math.isnan(found.lost) else float(found.lost),
        "sequences": found.sequences,
        "dtype": str(found.dtype).removeprefix("torch."),
        "remark": found.remark,
        "operations": rows,
    }
    texts = {"audit.tsv": found.table.to_csv(sep="\t", index=False), "audit.json": json.dumps(said, indent=2) + "\n"}
    for name, text in texts.items():
        with atomic_write(out / name) as partial:
            partial.write_text(text, encoding="utf-8")
