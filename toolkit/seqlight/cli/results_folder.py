"""Open the results folder that a command is given."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqlight.results.results import Results


def open_folder(folder: Path, needs: str | None = None) -> Results:
    """Return the results in a folder.

    Parameters
    ----------
    folder : path
        Of ``seqlight attribute`` or ``seqlight predict``.
    needs : str, optional
        An array that the command needs, "attributions".

    Raises
    ------
    InputError
        If there are no results, or not those that are needed.
    ResultsError
        If rows are missing; the message has the command that computes them.
    """
    from seqlight.errors import InputError, ResultsError
    from seqlight.results.results import open_results

    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}: expected the --out folder of `seqlight attribute` or `seqlight predict`.")
    results = open_results(folder, incomplete=True)
    missing, predicted = results.missing(), results.manifest.method.get("name") == "predict"
    if missing:
        rows = sum(len(results.manifest.rows_of(k)) for k in missing)
        raise ResultsError(
            f"{rows} of {len(results)} rows are missing in {folder}: start the command that began it, `seqlight "
            f"{'predict' if predicted else 'attribute'} ... --out {shlex.quote(str(folder))}`, again, which computes "
            "only these."
        )
    if needs is not None and needs not in results:
        held = "predictions" if predicted else ", ".join(results.names) or "no rows"
        raise InputError(f"{folder} holds {held}, and not {needs}: give the --out folder of `seqlight attribute`.")
    return results
