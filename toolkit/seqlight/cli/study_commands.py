"""The commands ``seqlight study``, ``study compare`` and ``study page``: which implementation can be believed.

The functions must not have the names of public functions of ``seqlight``: jsonargparse would look these up, and load
PyTorch to print a help.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Literal

ReferenceKind = Literal["dinucleotide_shuffle", "shuffle", "zero", "uniform"]


def study_command(
    out: Path,
    model: str | None = None,
    data: Path | None = None,
    suite: str | None = None,
    checkpoint: Path | None = None,
    module: str | None = None,
    init_args: dict[str, Any] | None = None,
    trusted: bool = False,
    genome: Path | None = None,
    window: int | None = None,
    alphabet: str = "DNA",
    rows: int = 4,
    inputs: int = 1,
    output: int | str | None = None,
    target: int = 0,
    references: ReferenceKind = "dinucleotide_shuffle",
    n_references: int = 3,
    implementations: str = "installed",
    dtypes: str = "float64,float32",
    random_state: int = 0,
    time_limit: float = 15,
    memory_limit: float | None = None,
    threads: int | None = None,
    retry: bool = False,
    page: bool = True,
) -> None:
    r"""Find out which implementations of attribution can be believed on a model.

    Also says why the others cannot. Each runs in a process of its own; a study that was interrupted goes on when it is
    started again. Writes the cells and a page, page.html, into the folder. `seqlight study compare OLD NEW` compares
    two studies, `seqlight study page FOLDER` writes the page anew.

    Example:
        seqlight study --model my_models.Net --checkpoint best.ckpt \
            --data peaks.fa --out study
        seqlight study --suite operations --out operations

    Args:
        out: Folder for the results, which seqlight.studies.open_study reads.
        model: Class of the model, package.module.Class or path/to/file.py:Class.
        data: Sequences: FASTA; BED or narrowPeak, with --genome; or one-hot arrays, rows x letters x positions, as
            .npy or .npz.
        suite: A study that comes with seqlight, in place of a model and data: operations, architectures, references,
            planted, seqlets, shuffles or numerics.
        checkpoint: Weights of the model, a state dict, a Lightning checkpoint or safetensors.
        module: Part of the class to take, such as net of a LightningModule.
        init_args: Arguments of the class.
        trusted: Allow the checkpoint to run code when it is loaded; only for a file that you trust.
        genome: FASTA file of the genome, for a BED file.
        window: Positions around each summit or centre; by default the regions themselves.
        alphabet: DNA, RNA, protein, or the letters in the order of the rows.
        rows: How many sequences, evenly spaced in the file; few tell as much as a thousand.
        inputs: Number of arrays of the .npz that the model takes, X first.
        output: Which output to explain if the model returns several: its number or key. One with more than two
            dimensions, such as a profile, is averaged over those beyond the second.
        target: Column of that output.
        references: What to compare each sequence with.
        n_references: References for each sequence.
        implementations: Names, such as seqlight,captum-deeplift, and .npy files of contributions; or installed, or all.
        dtypes: float64 shows what is missed, float32 how long it takes.
        random_state: Seed of the first reference.
        time_limit: Seconds for each implementation on the model.
        memory_limit: MiB for each process; by default four fifths of what is free.
        threads: Threads of each process; by default PyTorch's choice.
        retry: Compute cells anew that ended in an error or at a limit.
        page: Write page.html.
    """
    from seqlight.errors import InputError

    if suite is not None:
        if model is not None or data is not None:
            raise InputError("there is a suite, and a model or data: expected one or the other.")
        _run_suite(suite, out, page, retry, threads)
        return
    if model is None or data is None:
        raise InputError("model or data is missing: expected both, or --suite.")
    from seqlight.cli.models import open_model
    from seqlight.cli.sequences import read_some
    from seqlight.studies.study import Study

    X, *args = read_some(data, rows, genome, window, inputs, alphabet)
    network = _with_one_output(open_model(model, checkpoint, module, init_args, trusted), output, X, args, target)
    found = Study(
        {re.split("[.:]", model)[-1]: network},
        X,
        references=_references(references),
        implementations=implementations,
        dtypes=dtypes.split(","),
        n_references=n_references,
        args=args,
        target=target,
        random_state=random_state,
        time_limit=time_limit,
        memory_limit=memory_limit,
        threads=threads,
    ).run(out, retry=retry)
    print(found.explain())
    if page:
        print(f"\n{found.page()}")
    if not (found.cells["status"] == "ok").any():
        sys.exit(1)


def study_compare_command(old: Path, new: Path, fail_above: float = 1e-3) -> None:
    """Compare two studies, and name the cells that moved.

    The exit status is 1 if one moved too far or got worse, and 2 if there is nothing to compare.

    Example:
        seqlight study compare before after --fail-above 1e-3

    Args:
        old: Folder of the study before a change.
        new: Folder of the study after it.
        fail_above: How far contributions may move, as a share of the largest one.
    """
    from seqlight.errors import SeqlightError
    from seqlight.studies.comparison.comparison import compare

    try:
        found = compare(old, new, fail_above=fail_above)
    except (SeqlightError, OSError) as error:
        # A status of its own: nothing was compared.
        print(f"seqlight: {error}", file=sys.stderr)
        sys.exit(2)
    print(found)
    if found.failed:
        sys.exit(1)


def study_page_command(study: Path, out: Path | None = None) -> None:
    """Write the page of a study from what is stored; nothing is computed.

    Example:
        seqlight study page study

    Args:
        study: Folder of the study.
        out: The HTML file; page.html in the folder by default.
    """
    from seqlight.studies.results import open_study

    print(open_study(study).page(out))


def _with_one_output(model: Any, output: int | str | None, X: Any, args: list[Any], target: int) -> Any:
    """Return the model, or one that returns a table; an error says what of the data or the options does not fit."""
    import torch

    from seqlight.errors import InputError, SeqlightError
    from seqlight.prediction.borrowed_model.borrow import floating_dtype
    from seqlight.studies.selected_output import as_table, select_output

    one = [part[:1] for part in (X.to(floating_dtype(model, X)), *args)]
    try:
        with torch.no_grad():
            returned = model(*one)
            table = as_table(returned, output)
    except SeqlightError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"the model cannot be called with a sequence of shape {tuple(one[0].shape)} ({reason}): expected data that "
            "fit it; look at --window for regions, and at --inputs."
        ) from error
    columns = 1 if table.ndim == 1 else table.shape[1]
    if not -columns <= target < columns:
        raise InputError(f"target is {target}, and the model returns {columns} of them: expected one from 0 on.")
    return model if output is None and table.ndim == returned.ndim else select_output(model, output)


def _run_suite(name: str, out: Path, page: bool, retry: bool, threads: int | None) -> None:
    from seqlight.studies.suites.registry import load_suite, run_suite

    suite = load_suite(name)
    print(suite.question, file=sys.stderr)
    found = run_suite(suite, out, retry=retry, threads=threads)
    if isinstance(found, dict):
        for title, table in found.items():
            print(f"{out / title}.csv: {len(table)} rows of {', '.join(map(str, table.columns))}")
        return
    print(found)
    if page:
        print(found.page())


def _references(kind: ReferenceKind) -> Any:
    """Return the function that makes references of a kind."""
    import seqlight
    from seqlight.studies.constant_references import uniform_references, zero_references

    functions = {
        "dinucleotide_shuffle": seqlight.dinucleotide_shuffle,
        "shuffle": seqlight.shuffle,
        "zero": zero_references,
        "uniform": uniform_references,
    }
    return functions[kind]
