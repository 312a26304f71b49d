"""The command ``seqlight motifs``: from attributions to motifs, by TF-MoDISco and Fi-NeMo."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from seqlight.formats.motifs import Motifs
    from seqlight.motifs.modisco_run import ModiscoRun
    from seqlight.results.results import Results

MOST_SHOWN = 10


def motifs_command(
    folder: Path,
    motifs: str | None = None,
    target: int | str | None = None,
    window: int | None = None,
    max_seqlets: int = 20_000,
    finemo: bool = True,
    out: Path | None = None,
) -> None:
    """Find motifs with TF-MoDISco, and their places with Fi-NeMo.

    Where one of them is not installed, the line that runs it is printed.

    Needs `seqlight attribute ... --hypothetical`. Writes motifs/motifs.meme, motifs.tsv, seqlets.tsv and
    seqlets.bed, and counts of known motifs where `seqlight seqlets --motifs` has named the seqlets.

    Example:
        seqlight motifs attributions --motifs jaspar:CORE/vertebrates

    Args:
        folder: Folder of results, which `seqlight attribute` wrote.
        motifs: Known motifs to compare with, by Tomtom: a file of MEME or JASPAR, jaspar, or jaspar:CORE/vertebrates.
        target: Which of several targets, counted from 0, or as it was typed at attribute, such as counts.
        window: Positions around the middle of each sequence to look in; by default 400, or all of fewer.
        max_seqlets: The largest number of seqlets of each sign.
        finemo: Run Fi-NeMo too, if it is installed; --finemo false leaves it out, for it takes long without a GPU.
        out: Folder for the files, in its folder motifs; by default that of the results.
    """
    from seqlight.cli.results_folder import open_folder
    from seqlight.exports.target_column import require_target, target_number, target_suffix
    from seqlight.files.folder import as_folder, require_writable
    from seqlight.motifs.known_motifs import open_motifs

    results = open_folder(folder, "attributions")
    which = require_target(results, target_number(results, target))
    typed = shlex.quote(str(folder))
    to = folder if out is None else as_folder(out)
    require_writable(to)
    known = None if motifs is None else open_motifs(motifs)
    counted = _count_known(results, to / f"motifs{target_suffix(which)}", which)
    run = _prepare(results, to, which, window, max_seqlets, counted)
    if run is None:
        return
    if _run_modisco(run, results):
        _write_motifs(run, results, which, known, finemo)
    elif not counted:
        print(f"without it: seqlight seqlets {typed} --motifs jaspar counts known motifs among seqlets")
    if to.resolve() == folder.resolve():  # the page shows what lies beside the results
        print(f"next: seqlight report {typed}" + (f" --target {which}" if which else ""))


def _count_known(results: Results, folder: Path, target: int | None) -> bool:
    """Count known motifs among the target's seqlets that have been named, and return whether there are such."""
    from seqlight.motifs.known_counts import known_counts
    from seqlight.motifs.seqlet_files import is_of_other_results, read_tsv, seqlet_table, write_tsv

    seqlets = seqlet_table(results.path, target, results.manifest.fingerprint)
    if not seqlets.exists():
        return False
    if is_of_other_results(seqlets.with_suffix(".json"), results.manifest.fingerprint):
        print(f"{seqlets} is of other results, which were in this folder before: run `seqlight seqlets` again")
        return False
    table = read_tsv(seqlets)
    if not {"motif", "motif_q-value", "attribution", "example_idx"} <= set(table):
        return False
    if target is not None and "target" in table:
        table = table[table["target"] == target]
    folder.mkdir(parents=True, exist_ok=True)
    counts = known_counts(table)
    write_tsv(folder / "known_motifs.tsv", counts)
    shown = ", ".join(f"{one.known} {one.seqlets}" for one in counts.head(MOST_SHOWN).itertuples())
    print(f"known motifs among {len(table)} seqlets (q < 0.05): {shown or 'none'}")
    print(f"written: {folder / 'known_motifs.tsv'}")
    return True


def _prepare(
    results: Results, to: Path, target: int | None, window: int | None, max_seqlets: int, counted: bool
) -> ModiscoRun | None:
    """Write the input of TF-MoDISco, unless it has run; None if there can be none, and known motifs were counted."""
    from seqlight.errors import InputError
    from seqlight.exports.exporter import export
    from seqlight.exports.modisco_input import FOLDER, require_modisco
    from seqlight.exports.target_column import target_suffix
    from seqlight.motifs.modisco_run import ModiscoRun

    try:
        require_modisco(results)
    except InputError as error:
        if not counted:
            raise
        print(f"no motifs were looked for: {error}")
        return None
    suffix = target_suffix(target)
    inputs, length = to / FOLDER, results["sequences"].shape[-1]
    files = inputs / "sequences.npz", inputs / f"attributions{suffix}.npz"
    run = ModiscoRun(*files, to / f"motifs{suffix}" / "modisco.h5", length, window, max_seqlets)
    if not run.is_done(results.manifest.fingerprint):
        export(results, "modisco", to)
    run.out.parent.mkdir(parents=True, exist_ok=True)
    return run


def _run_modisco(run: ModiscoRun, results: Results) -> bool:
    """Run TF-MoDISco, unless it has; print how if it is not installed, and return whether its results are there."""
    from seqlight.motifs.modisco_run import INSTALL

    name = results.manifest.fingerprint
    if run.is_done(name):
        print(f"{run.out} is there already: delete it to run TF-MoDISco again")
        return True
    print(f"TF-MoDISco: {run}", flush=True)
    if run.run(name):
        return True
    print(f"TF-MoDISco is not installed: `{INSTALL}`, and the same command again; or run the line above yourself")
    return False


def _write_motifs(
    run: ModiscoRun, results: Results, target: int | None, known: Motifs | None, with_finemo: bool
) -> None:
    from seqlight.exports.export_job import ExportJob
    from seqlight.motifs.finemo_run import INSTALL, FinemoRun
    from seqlight.motifs.motif_files import write_motifs, write_sites
    from seqlight.motifs.pattern_table import pattern_table
    from seqlight.motifs.patterns import read_patterns

    folder = run.out.parent
    run.require_window()
    patterns = read_patterns(run.out)
    table = pattern_table(patterns, known)
    paths = write_motifs(folder, patterns, table)
    paths += write_sites(folder, ExportJob(results, results.path), patterns, run.first, target)
    print("\n".join(summary(table, len(results), run.width)))
    print(f"written: {', '.join(map(str, paths))}")
    if not patterns or not with_finemo:
        return
    finder = FinemoRun(run, folder / "finemo", results.loci)
    finder.write_peaks()
    print(f"Fi-NeMo: {finder}", flush=True)
    if finder.run():
        print(f"written: {finder.out / 'hits.tsv'}")
    else:
        print(f"Fi-NeMo is not installed: `{INSTALL}`, and the same command again; or run the line above yourself")


def summary(table: pd.DataFrame, rows: int, width: int) -> list[str]:
    """Return what was found, as lines: a motif in each, the most frequent first."""
    motifs = f"{len(table)} motif{'s' * (len(table) != 1)} of {table['seqlets'].sum()} seqlets"
    lines = [f"{motifs}, in {width} positions around the middle of {rows} sequences"]
    for row in table.sort_values("seqlets", ascending=False, kind="stable").head(MOST_SHOWN).to_dict("records"):
        resembles = f"  {row['known']} (q = {row['known_q-value']:.2g})" if "known" in row else ""
        lines.append(f"  {row['motif']}  {row['seqlets']} seqlets  {row['consensus']}{resembles}")
    return lines
