"""What ``seqlight predict`` and ``seqlight attribute`` share: a run over the data, and what is said of its results."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, NamedTuple


class Exports(NamedTuple):
    """What else is written into the folder of a run, for other programs.

    Attributes
    ----------
    names : list of str
        Formats, as :func:`require_exports` returns them.
    chrom_sizes : path or None
        Where bigWig has the lengths of chromosomes from.
    alphabet : str or None
        The letters of FASTA.
    """

    names: list[str]
    chrom_sizes: Path | None
    alphabet: str | None


# Formats for what only attributions have.
OF_ATTRIBUTIONS = ("modisco", "bigwig", "fasta")


def require_exports(
    to: list[str] | None, data: Any, genome: Path | None, alphabet: str, kept: tuple[str, ...] = ()
) -> Exports | None:
    """Return what to write besides the results, before hours are spent on these.

    Parameters
    ----------
    to : list of str, optional
        Names of formats.
    data : Dataset, array, or tuple of arrays
    genome : path, optional
    alphabet : str
    kept : tuple of str
        What is kept beside attributions; nothing for predictions.

    Raises
    ------
    InputError
        If there is no such format, or the data or the options do not have what it needs.
    MissingExtra
        If its library is not installed.
    """
    if not to:
        return None
    from seqlight.errors import InputError
    from seqlight.exports.formats import require_formats

    names = require_formats(to)
    if not kept:
        for name in set(names) & set(OF_ATTRIBUTIONS):
            raise InputError(
                f"--to {name} is for attributions: expected formats of numbers, such as tsv or npz, or bed."
            )
    elif "modisco" in names and "hypothetical" not in kept:
        raise InputError("--to modisco needs hypothetical contributions: add --hypothetical.")
    elif "fasta" in names and not {"sequences", "hypothetical"} & set(kept):
        raise InputError("--to fasta needs the sequences: name them in --keep too.")
    without = [one for one in names if one in ("bigwig", "bed")]
    if without and getattr(data, "loci", None) is None:
        raise InputError(f"--to {without[0]} needs places in a genome: expected regions as --data, and --genome.")
    return Exports(names, genome, None if alphabet == "DNA" else alphabet)


def known_alphabet(data: Any, alphabet: str) -> str | None:
    """Return the alphabet that results keep, if the data are written in it; None if that is not known.

    DNA is only the default: data of another number of letters are not DNA, and those of a class may be anything.

    Examples
    --------
    >>> import numpy as np
    >>> known_alphabet(np.zeros((2, 4, 9)), "RNA"), known_alphabet(np.zeros((2, 20, 9)), "DNA")
    ('RNA', None)
    """
    from seqlight.sequence.alphabets import as_alphabet

    X = data[0] if isinstance(data, tuple) else data
    shape = getattr(X, "shape", None)
    if shape is None:
        return None if alphabet == "DNA" else alphabet
    return alphabet if len(shape) == 3 and shape[1] == len(as_alphabet(alphabet).letters) else None


def run_command(
    module: Any,
    data: Any,
    out: Path,
    alphabet: str,
    exports: Exports | None,
    following: list[str],
    *,
    batch_size: int | str,
    workers: int,
    quiet: bool,
    **options: Any,
) -> None:
    """Run a module over data, on any devices, and print where the results are and what to do next.

    Parameters
    ----------
    module : PredictModule or DeepLiftShapModule
    data : Dataset, array, or tuple of arrays
    out : path
    alphabet : str
        As it is typed.
    exports : Exports, optional
    following : list of str
        Commands to go on with, with FOLDER for the folder.
    batch_size : int or "auto"
        The number, also as it is typed.
    workers : int
    quiet : bool
        Show no progress.
    **options
        Those of :func:`seqlight.run`.
    """
    from seqlight.cli.console import process_number
    from seqlight.lit.run import run
    from seqlight.lit.sharded_data import ShardedDataModule
    from seqlight.prediction.batch_size import require_batch_size

    others = process_number() > 0  # the first process says and does the rest
    size = require_batch_size(batch_size)
    rows = ShardedDataModule(data, size, workers, alphabet=known_alphabet(data, alphabet))
    results = run(module, rows, out, progress=not (quiet or others), **options)
    if others:
        return
    print(results)
    _write_ledger(results)
    if exports is not None:
        from seqlight.exports.exporter import export

        written = export(results, exports.names, chrom_sizes=exports.chrom_sizes, alphabet=exports.alphabet)
        for name, paths in written.items():
            print(f"{name}: {', '.join(map(str, paths))}")
    folder = shlex.quote(str(out))
    print(f"next: {'; '.join('seqlight ' + one.replace('FOLDER', folder) for one in following)}")


def _write_ledger(results: Any) -> None:
    """Write the ledger of a run that has one as a table, and print where it is."""
    from seqlight.attribution.layer_arrays import ledger_names

    if not ledger_names(results):
        return
    from seqlight.motifs.seqlet_files import write_tsv

    path = results.path / "ledger.tsv"
    write_tsv(path, results.ledger)
    print(f"ledger: {path}")
