"""The files of a table of seqlets: TSV, BED and FASTA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from seqlight.exports.target_column import target_suffix
from seqlight.files.atomic import atomic_write
from seqlight.formats.bed_writer import write_bed

PLACE = "chrom"
# Earlier releases of pandas may read another last digit unless they are asked to; later ones warn of being asked.
EXACT: dict[str, Any] = (
    {"float_precision": "round_trip"} if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1) else {}
)


def write_seqlets(
    folder: Path,
    table: pd.DataFrame,
    rates: pd.DataFrame | None = None,
    of: str | None = None,
    target: int | None = None,
) -> list[Path]:
    """Write a table of seqlets, and what other programs read of it.

    Parameters
    ----------
    folder : path
        Where the files go: ``seqlets.tsv``; ``seqlets.bed``, if the table has places in a genome; ``seqlets.fa``, if it
        has sequences; and ``seqlets.fdr.tsv``, if rates are given.
    table : pandas.DataFrame
        As from :func:`seqlight.motifs.seqlet_calls.call_seqlets`. The seqlet of row i is called seqlet_i in FASTA, and
        in BED where motifs do not name the seqlets.
    rates : pandas.DataFrame, optional
        Estimated false discovery rates.
    of : str, optional
        What identifies the results, which is kept in ``seqlets.json``: a report of other results does not show them.
        So is how many tables the folder had seen before: where a table of all targets and one of this target are there,
        the later one is shown, whatever time their files have.
    target : int, optional
        Which of several targets the table is of, for names such as ``seqlets.target_1.tsv``; None if it is of all.

    Returns
    -------
    list of pathlib.Path
        The files that were written. Those that an earlier call wrote, and this one does not, are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    called = f"seqlets{target_suffix(target)}"
    record = folder / f"{called}.json"
    number = 1 + max((_number(one) for one in folder.glob("seqlets*.json")), default=0)
    record.unlink(missing_ok=True)
    paths = {name: folder / f"{called}.{name}" for name in ("tsv", "bed", "fa", "fdr.tsv")}
    written = [paths["tsv"]]
    write_tsv(paths["tsv"], table)
    if PLACE in table:
        # Without a motif there is no strand of one.
        write_bed(paths["bed"], table.fillna({"motif_strand": "+"}) if "motif_strand" in table else table)
        written.append(paths["bed"])
    if "sequence" in table:
        with atomic_write(paths["fa"]) as partial, partial.open("w", encoding="latin-1", newline="\n") as file:
            file.writelines(f">seqlet_{i}\n{text}\n" for i, text in enumerate(table["sequence"]))
        written.append(paths["fa"])
    if rates is not None:
        write_tsv(paths["fdr.tsv"], rates)
        written.append(paths["fdr.tsv"])
    for path in paths.values():
        if path not in written:
            path.unlink(missing_ok=True)
    if of is not None:
        with atomic_write(record) as partial:
            partial.write_text(json.dumps({"results": of, "number": number}) + "\n", encoding="utf-8")
    return written


def seqlet_table(folder: Path, target: int | None, of: str | None = None) -> Path:
    """Return the table of seqlets of a target: its own or that of all targets, whichever was written later.

    A table of other results than those that `of` identifies is left out where there is another one. Tables without a
    record, as those of earlier versions, count as the earliest; of two such the target's own is taken.

    Examples
    --------
    >>> seqlet_table(Path("attributions"), 1).as_posix()
    'attributions/seqlets.tsv'
    """
    of_all = folder / "seqlets.tsv"
    there = [one for one in (folder / f"seqlets{target_suffix(target)}.tsv", of_all) if one.exists()]
    if of is not None:
        there = [one for one in there if not is_of_other_results(one.with_suffix(".json"), of)] or there
    return max(there, key=lambda one: _number(one.with_suffix(".json")), default=of_all)


def is_of_other_results(record: Path, of: str) -> bool:
    """Return whether a record says that what lies beside it was made of other results; one without says nothing."""
    found: bool = _read_record(record).get("results", of) != of
    return found


def _number(record: Path) -> int:
    """Return which of the tables of a folder a record is of; 0 if it does not say."""
    found = _read_record(record).get("number", 0)
    return found if isinstance(found, int) else 0


def _read_record(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_tsv(path: Path, table: pd.DataFrame) -> None:
    """Write a table, tab-separated, with NA for what is missing."""
    with atomic_write(path) as partial:
        table.to_csv(partial, sep="\t", index=False, lineterminator="\n", na_rep="NA")


def read_tsv(path: Path) -> pd.DataFrame:
    """Read a table of `write_tsv`, each number as it was; a motif that is called nan or null keeps its name."""
    table: pd.DataFrame = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["NA"], **EXACT)
    return table
