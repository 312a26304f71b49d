"""The command ``seqlight export``: a run's results as files for other programs."""

from __future__ import annotations

from pathlib import Path


def export_command(
    folder: Path,
    to: list[str],
    out: Path | None = None,
    chrom_sizes: Path | None = None,
    alphabet: str | None = None,
) -> None:
    """Write results as files for other programs, such as npz, bigWig or tsv.

    Example:
        seqlight export attributions --to npz bigwig
        seqlight export predictions --to tsv bed

    Args:
        folder: Folder of results, which `seqlight attribute` or `seqlight predict` wrote.
        to: One format, or several.
        out: Folder for the files; by default that of the results.
        chrom_sizes: Lengths of chromosomes, for bigwig: the FASTA file of the genome, its .fai, or hg38.chrom.sizes; by
            default those of the genome that the rows were cut from.
        alphabet: For fasta, DNA, RNA, protein or the letters in the order of their rows; by default DNA, or protein
            where there are twenty.
    """
    from seqlight.cli.results_folder import open_folder
    from seqlight.exports.exporter import export
    from seqlight.exports.formats import require_formats

    names = require_formats(to)
    files = export(open_folder(folder), names, out, chrom_sizes=chrom_sizes, alphabet=alphabet)
    for name, paths in files.items():
        print(f"{name}: {', '.join(map(str, paths))}")
