"""What ``seqlight predict`` and ``seqlight attribute`` share: a run over the data, and what is said of its results."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlight.cli.exports import Exports

if TYPE_CHECKING:
    from seqlight.lit.attribution_module import DeepLiftShapModule
    from seqlight.lit.prediction_module import PredictModule
    from seqlight.results.results import Results


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
    module: PredictModule | DeepLiftShapModule,
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


def _write_ledger(results: Results) -> None:
    """Write the ledger of a run that has one as a table, and print where it is."""
    from seqlight.attribution.layer_arrays import ledger_names

    if not ledger_names(results):
        return
    from seqlight.motifs.seqlet_files import write_tsv

    path = results.path / "ledger.tsv"
    write_tsv(path, results.ledger)
    print(f"ledger: {path}")
