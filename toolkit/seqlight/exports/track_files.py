"""Attributions as bigWig, for genome browsers."""

from __future__ import annotations

from pathlib import Path

from seqlight.errors import InputError
from seqlight.exports.export_job import ExportJob
from seqlight.files.abandoned_files import remove_abandoned
from seqlight.formats.bigwig_writer import write_bigwig


def check_tracks(job: ExportJob) -> None:
    """Raise InputError unless there are attributions, loci and sizes of chromosomes."""
    job.require("attributions", "bigWig", "it is written for attributions")
    job.require_loci("bigWig")
    if job.chrom_sizes is None:
        needed = "bigWig needs the lengths of all chromosomes: give the genome, or its sizes,"
        error = InputError(f'{needed} chrom_sizes="hg38.fa" or chrom_sizes="hg38.chrom.sizes".')
        error.typed = f"{needed} `--chrom-sizes hg38.fa` or `--chrom-sizes hg38.chrom.sizes`."
        raise error


def write_tracks(job: ExportJob) -> list[Path]:
    """Write attributions summed over letters, a file for each target; where windows overlap, their mean."""
    loci, sizes = job.require_loci("bigWig"), job.chrom_sizes
    assert sizes is not None
    paths = []
    for suffix, target in job.targets.items():
        paths.append(job.out / f"attributions{suffix}.bw")
        remove_abandoned(paths[-1])
        write_bigwig(paths[-1], job.results["attributions"], loci, sizes, target=target)
    return paths
