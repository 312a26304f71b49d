"""What other commands have written into a folder of results, as far as a report shows it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from seqlight.errors import SeqlightError
from seqlight.exports.target_column import target_suffix
from seqlight.formats.meme_reader import read_meme
from seqlight.formats.motifs import Motifs
from seqlight.motifs.seqlet_files import is_of_other_results, read_tsv, seqlet_table
from seqlight.results.results import Results

LOGOS, MOTIFS, KNOWN = "motifs.meme", "motifs.tsv", "known_motifs.tsv"
OF_TARGET = re.compile(r"\.target_\d+")
# What each file is for, by the end of its name; the first that fits.
KINDS = {
    "manifest.json": "what was computed, with which model and seed",
    "loci.npz": "where in the genome each row is from",
    "ledger.tsv": "what goes through each module, a table",
    "seqlets.json": "which results the seqlets are of",
    "modisco.json": "which results the motifs are of",
    "seqlets.tsv": "the seqlets, a table",
    "seqlets.bed": "the seqlets in the genome",
    "seqlets.fa": "the sequences of the seqlets",
    "seqlets.fdr.tsv": "the false discovery rate at each threshold",
    "known_motifs.tsv": "known motifs that seqlets resemble, a table",
    "motifs.meme": "the motifs, in MEME format",
    "motifs.tsv": "the motifs, a table",
    "hits.tsv": "where Fi-NeMo found the motifs, a table",
    "modisco.h5": "the patterns of TF-MoDISco",
    ".bw": "a track for a genome browser",
    ".bed": "places in the genome",
    ".fa": "the sequences",
    ".npz": "arrays, for NumPy",
    ".h5": "arrays, in HDF5",
    ".tsv": "a table",
    ".zarr": "arrays, in Zarr",
    ".html": "a page",
}
HIDDEN, UNFINISHED = (".", "shard-"), ".partial"
FILES = ("*", "motifs*/*", "motifs*/finemo/*", "modisco/*")
MOST_FILES = 60


@dataclass(frozen=True)
class FolderFiles:
    """Files beside the shards of a run.

    Attributes
    ----------
    seqlets : pandas.DataFrame or None
        What ``seqlight seqlets`` wrote; None if there is none.
    motifs : dict of str to numpy.ndarray
        The motifs that ``seqlight motifs`` wrote; empty if there are none.
    motif_table, known : pandas.DataFrame or None
        Its table of motifs, and that of the known motifs that seqlets resemble.
    faults : list of str
        Sentences on files that cannot be read.
    table : str
        The name of the file of `seqlets`.
    """

    seqlets: pd.DataFrame | None = None
    motifs: Motifs = field(default_factory=dict)
    motif_table: pd.DataFrame | None = None
    known: pd.DataFrame | None = None
    faults: list[str] = field(default_factory=list)
    table: str = "seqlets.tsv"

    @classmethod
    def from_results(cls, results: Results, target: int | None = None) -> FolderFiles:
        """Read what there is, for one of several targets; a file that cannot be read becomes a sentence."""
        faults: list[str] = []
        run = results.manifest.fingerprint
        table = seqlet_table(results.path, target, run)
        seqlets = _read_table(table, faults)
        stale = is_of_other_results(table.with_suffix(".json"), run)
        if seqlets is not None and stale:
            faults.append(
                f"{table.name} is of other results, which were in this folder before: run `seqlight seqlets` again."
            )
            seqlets = None
        if seqlets is not None and (fault := _find_fault(seqlets, len(results))):
            faults.append(f"{table.name} {fault}: run `seqlight seqlets` again.")
            seqlets = None
        folder = results.path / f"motifs{target_suffix(target)}"
        known = None if stale else _read_table(folder / KNOWN, faults)
        if is_of_other_results(folder / "modisco.json", run):
            faults.append(
                f"{folder.name} is of other results, which were in this folder before: run `seqlight motifs` again."
            )
            return cls(seqlets, {}, None, known, faults, table.name)
        motifs, found = _read_motifs(folder / LOGOS, faults), _read_table(folder / MOTIFS, faults)
        return cls(seqlets, motifs, found, known, faults, table.name)


def _read_motifs(path: Path, faults: list[str]) -> Motifs:
    if not path.exists():
        return {}
    try:
        return read_meme(path)
    except (SeqlightError, OSError) as error:
        faults.append(str(error))
        return {}


def _read_table(path: Path, faults: list[str]) -> pd.DataFrame | None:
    if not path.exists():
        return None
    try:
        return read_tsv(path)
    except (ValueError, OSError) as error:  # what pandas cannot parse is a ValueError
        faults.append(f"{path.name} cannot be read ({' '.join(str(error).split())}): write it again.")
        return None


def _find_fault(seqlets: pd.DataFrame, rows: int) -> str:
    """Return why a table holds no seqlets of this run; "" if it does."""
    for name in ("example_idx", "start", "end"):
        if name not in seqlets:
            return f"has no column {name}"
        if not pd.api.types.is_integer_dtype(seqlets[name]) and len(seqlets):
            return f"has values of {name} that are not whole numbers"
    for name in ("attribution", "p-value"):
        if name in seqlets and not pd.api.types.is_numeric_dtype(seqlets[name]) and len(seqlets):
            return f"has values of {name} that are not numbers"
    if (seqlets["start"] >= seqlets["end"]).any():
        return "has seqlets that end where they begin, or before"
    if len(seqlets) and not 0 <= seqlets["example_idx"].min() <= seqlets["example_idx"].max() < rows:
        return f"names rows beyond the {rows} of this run"
    return ""


def list_files(folder: Path, page: Path) -> list[tuple[Path, str]]:
    """Return the files of a folder of results and what each is for, without shards and the page itself."""
    every = sorted(one for pattern in FILES for one in folder.glob(pattern))
    return [(path, _purpose(path)) for path in every if path != page and _is_listed(path)][:MOST_FILES]


def _is_listed(path: Path) -> bool:
    """Return whether a file, or a folder that stands for one, is for the reader of a page."""
    if path.name.startswith(HIDDEN) or path.name.endswith(UNFINISHED):
        return False
    return path.suffix == ".zarr" or not path.is_dir()


def _purpose(path: Path) -> str:
    """Return what a file is for, by its name; "" if that is not known."""
    name = OF_TARGET.sub("", path.name)
    return next((what for end, what in KINDS.items() if name.endswith(end)), "")
