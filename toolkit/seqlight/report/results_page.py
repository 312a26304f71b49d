"""The page of a folder of results: what was computed, logos, seqlets, motifs, convergence and a table of all rows."""

from __future__ import annotations

import os
from pathlib import Path

from seqlight.errors import InputError, ResultsError
from seqlight.exports.target_column import count_targets, require_target
from seqlight.files.paths import as_path
from seqlight.report import attribution_sections, prediction_sections
from seqlight.report.folder_files import FolderFiles
from seqlight.report.page import write_page
from seqlight.report.reported_run import ReportedRun, page_name
from seqlight.results.results import Results, as_results
from seqlight.sequence.alphabets import USUAL, as_alphabet
from seqlight.sequence.checks import require_count

SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


def write_report(
    results: Results | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    target: int | None = None,
    top: int = 6,
    sampled: int = 4,
    random_state: int = 0,
    alphabet: str | None = None,
    assembly: str | None = None,
    title: str | None = None,
) -> Path:
    """Write a page about a run of attributions or predictions: one HTML file that loads nothing.

    It says whether attributions are complete, and shows logos of the strongest rows and of some that are drawn at
    random; the seqlets and motifs that ``seqlight seqlets`` and ``seqlight motifs`` found; how well attributions are
    known; and a table of all rows, which readers sort and filter. Results are read a shard at a time.

    Parameters
    ----------
    results : Results, or path of their folder
        Of :func:`seqlight.run`, ``seqlight attribute`` or ``seqlight predict``.
    out : str or path, optional
        The file, or a folder to put ``report.html`` into, or ``report.target_1.html`` for `target` 1; by default that
        of the results. A text that ends in a separator, ``"pages/"``, is a folder, which is made if there is none.
    target : int, optional
        Which of several targets to show; the first by default, and then without its number in the name.
    top, sampled : int
        How many logos of the rows with the largest attributions, and of rows drawn at random.
    random_state : int
        The seed with which these are drawn.
    alphabet : str, optional
        "DNA", "RNA", "protein", or the letters of the sequences in the order of their rows; by default those of the
        data, and where these do not say DNA for four, and protein for twenty.
    assembly : str, optional
        The genome of the loci, as the UCSC Genome Browser calls it, such as "hg38": loci link to it. Only a click goes
        there.
    title : str, optional
        The heading.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    InputError
        If there are no results in the folder, or an argument cannot be used.
    ResultsError
        If rows are missing, or a file of the run cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 3))
    >>> with tempfile.TemporaryDirectory() as out:
    ...     found = sl.run(model, sl.random_one_hot((5, 4, 10)), out=out, accelerator="cpu", progress=False)
    ...     sl.write_report(found).name
    'report.html'
    """
    found = as_results(results)
    if missing := found.missing():
        raise ResultsError(
            f"{len(missing)} of {found.manifest.shards} shards are missing in {found.path}: start the same run again, "
            "which computes only these."
        )
    kind = "Attributions" if "attributions" in found else "Predictions"
    chosen = require_target(found, target) if kind == "Attributions" and target is not None else None
    page = found.path if out is None else as_path(out, "out")
    # A path that ends in a separator is a folder, which need not exist; pathlib drops it.
    is_folder = page.is_dir() or (isinstance(out, str) and out.endswith(SEPARATORS))
    page = page / page_name(chosen) if is_folder else page
    _require_page(page)
    if kind == "Predictions":
        sections = prediction_sections.make_sections(found, page, assembly)
    else:
        if chosen is None and count_targets(found) is not None:
            chosen = 0
        run = ReportedRun(
            found,
            FolderFiles.from_results(found, chosen),
            page,
            chosen,
            _letters(found, alphabet),
            assembly,
            require_count(top, "top", least=1),
            require_count(sampled, "sampled", least=0),
            require_count(random_state, "random_state", least=0),
        )
        sections = attribution_sections.make_sections(run)
    lead = f"Written by seqlight from {len(found):,} rows in {found.path.name or found.path}."
    return write_page(page, title or f"{kind} in {found.path.resolve().name}", lead, sections)


def _require_page(path: Path) -> None:
    """Raise InputError for a file that is there and is no page, such as the data."""
    if path.suffix.lower() in (".html", ".htm") or not path.is_file():
        return
    with path.open("rb") as file:
        if file.read(20).lstrip().lower().startswith(b"<!doctype html"):
            return
    raise InputError(
        f"{path} is there, and is no page: expected another name for it, such as {page_name(None)}, or a folder."
    )


def _letters(results: Results, alphabet: str | None) -> str | None:
    """Return the letters, those of the data unless they are given; None if they are not known."""
    n, given = results["attributions"].shape[-2], alphabet or results.alphabet
    if given is None:
        return USUAL[n].letters if n in USUAL else None
    letters = as_alphabet(given).letters
    if len(letters) != n:
        raise InputError(f"the alphabet {given!r} has {len(letters)} letters, and attributions {n}: expected as many.")
    return letters
