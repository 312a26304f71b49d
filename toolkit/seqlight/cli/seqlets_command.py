"""The command ``seqlight seqlets``: the spans of high attribution in a folder of results."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal

# Motifs are named in the summary of seqlets that resemble one with a smaller q-value than this.
Q_VALUE, MOST_NAMED = 0.05, 5


def seqlets_command(
    folder: Path,
    caller: Literal["recursive", "tfmodisco"] = "recursive",
    target: int | str | None = None,
    threshold: float | None = None,
    fdr: float | None = None,
    control: Path | None = None,
    sign: Literal["both", "positive", "negative"] | None = None,
    min_seqlet_len: int | None = None,
    max_seqlet_len: int | None = None,
    additional_flanks: int | None = None,
    window_size: int | None = None,
    flank: int | None = None,
    motifs: str | None = None,
    alphabet: str | None = None,
    out: Path | None = None,
) -> None:
    """Call seqlets in attributions, with their places in a genome.

    Writes seqlets.tsv, seqlets.fa, and seqlets.bed for regions of a genome; with --target 1 of several targets
    seqlets.target_1.tsv and so on, beside a table of all of them.

    Example:
        seqlight seqlets attributions --motifs jaspar:CORE/vertebrates
        seqlight seqlets attributions --control control --fdr 0.05

    Args:
        folder: Folder of results, which `seqlight attribute` wrote.
        caller: recursive calls the longest spans of which every part is rare; tfmodisco windows of one width.
        target: Which of several targets, counted from 0, or as it was typed at attribute, such as counts; by default
            all of them, in one table.
        threshold: For recursive, the p-value that spans must be below, by default 0.01; it is no error rate.
        fdr: For recursive, the largest false discovery rate, which needs a control; for tfmodisco, its own rate.
        control: Folder of attributions of shuffled sequences, `seqlight attribute ... --shuffled`; by default
            the folder control inside of the first one, if fdr is given.
        sign: For recursive, both, positive or negative seqlets.
        min_seqlet_len: For recursive, the shortest seqlet, by default 4.
        max_seqlet_len: For recursive, the longest seqlet, by default 25.
        additional_flanks: For recursive, positions to add at both ends.
        window_size: For tfmodisco, positions that are summed, by default 21.
        flank: For tfmodisco, positions to add at both ends, by default 10.
        motifs: Known motifs to compare seqlets with, by Tomtom: a file of MEME or JASPAR, jaspar, or
            jaspar:CORE/vertebrates.
        alphabet: DNA, RNA, protein or the letters in the order of their rows; by default DNA, or protein where there
            are twenty.
        out: Folder for the files; by default that of the results.
    """
    from seqlight.cli.results_folder import open_folder
    from seqlight.exports.target_column import count_targets, require_target, target_number
    from seqlight.files.folder import as_folder, require_writable
    from seqlight.motifs.known_motifs import open_motifs
    from seqlight.motifs.seqlet_calls import RECURSIVE, TFMODISCO, SeqletOptions, call_seqlets
    from seqlight.motifs.seqlet_files import write_seqlets
    from seqlight.results.manifest import NAME as MANIFEST

    given = locals()
    results = open_folder(folder, "attributions")
    number = target_number(results, target)
    if control is None and fdr is not None and caller == "recursive" and (folder / "control").is_dir():
        control = folder / "control"
    opened = None if control is None else open_folder(control, "attributions")
    options = {name: given[name] for name in (*RECURSIVE, *TFMODISCO) if given[name] is not None}
    call = SeqletOptions(caller, fdr, opened, options)
    known = None if motifs is None else open_motifs(motifs)
    to = folder if out is None else as_folder(out)
    require_writable(to)
    table, rates = call_seqlets(results, call, number, known, alphabet)
    # A folder of results, these or others, whose report would show them.
    of = results.manifest.fingerprint if (to / MANIFEST).exists() else None
    which = None if number is None else require_target(results, number)
    paths = write_seqlets(to, table, rates, of, which)
    print("\n".join(summary(table, len(results))))
    several = count_targets(results)
    if several is not None and which is None:
        print(f"of {several} targets, in one table with the column target")
    print(f"written: {', '.join(map(str, paths))}")
    commands = _next_commands(results, shlex.quote(str(folder)), number, alphabet)
    if not to.samefile(folder):
        commands.pop()  # the page shows what lies beside the results
    if commands:
        print(f"next: {'; '.join(commands)}")


def _next_commands(results: Any, folder: str, target: int | None, alphabet: str | None) -> list[str]:
    """Return the commands to run next: that for motifs where TF-MoDISco has what it needs."""
    from seqlight.exports.target_column import count_targets

    several = count_targets(results) is not None
    # The page shows the first of several targets unless it is told which.
    last = f"seqlight report {folder}" + (f" --target {target}" if several and target else "")
    last += "" if alphabet is None else f" --alphabet {shlex.quote(alphabet)}"
    if "hypothetical" not in results or results["hypothetical"].shape[-2] != 4:
        return [last]
    which = f" --target {target or 0}" if several else ""
    return [f"seqlight motifs {folder}{which}", last]


def summary(table: Any, rows: int) -> list[str]:
    """Return how many seqlets there are, by sign, and which motifs most of them resemble, as lines."""
    signs = {"positive": int((table["attribution"] > 0).sum()), "negative": int((table["attribution"] < 0).sum())}
    by_sign = ", ".join(f"{n} {sign}" for sign, n in signs.items())
    lines = [
        f"{len(table)} seqlet{'s' * (len(table) != 1)} in {table['example_idx'].nunique()} of {rows} rows ({by_sign})"
    ]
    if "motif" in table:
        counts = table["motif"][table["motif_q-value"] < Q_VALUE].value_counts()
        named = ", ".join(f"{name} {n}" for name, n in counts.head(MOST_NAMED).items()) or "none"
        more = f", and {len(counts) - MOST_NAMED} more" if len(counts) > MOST_NAMED else ""
        lines.append(f"known motifs with q < {Q_VALUE}: {named}{more}")
    return lines
