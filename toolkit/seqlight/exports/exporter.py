"""Write results as files for other programs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from seqlight.errors import DiskError, InputError, SeqlightError
from seqlight.exports.export_job import ExportJob
from seqlight.exports.formats import FORMATS, require_formats
from seqlight.files.folder import as_folder, require_writable
from seqlight.formats.chromosome_sizes import as_chromosome_sizes
from seqlight.results.results import Results, as_results


def export(
    results: Results | str | os.PathLike[str],
    formats: str | Iterable[str],
    out: str | os.PathLike[str] | None = None,
    *,
    chrom_sizes: Mapping[str, int] | str | os.PathLike[str] | None = None,
    alphabet: str | None = None,
) -> dict[str, list[Path]]:
    r"""Write results as files for other programs, a shard at a time, after comparing them with their checksums.

    Parameters
    ----------
    results : Results, str or path
        The results, or the folder of a run.
    formats : str or iterable of str
        One or more of:

        ``npz``, ``hdf5``, ``zarr``
            ``attributions.npz`` (``.h5``, ``.zarr``), or ``predictions.npz``: all arrays of the run under their names,
            of all targets, and its loci, as :func:`consolidate` writes them.
        ``modisco``
            ``modisco/sequences.npz`` and ``modisco/attributions.npz``, the hypothetical contributions, both of shape
            (rows, 4, positions): for ``modisco motifs -s ... -a ...``.
        ``bigwig``
            ``attributions.bw``: attributions, summed over letters, along the genome; where windows overlap, their mean.
        ``bed``
            ``loci.bed``: the windows, line i for row i.
        ``fasta``
            ``sequences.fa``: the sequences.
        ``tsv``
            ``predictions.tsv``, a line for each row with all that was predicted; or ``attributions.tsv``, with the
            output, the mean output of references, the sum of attributions, and the largest delta.

        Where several targets were explained, modisco and bigWig have a file for each, such as
        ``attributions.target_0.bw``, and tables a column.
    out : str or path, optional
        The folder to write to; by default that of the run.
    chrom_sizes : mapping of str to int, str or path, optional
        For bigWig: the length of each chromosome; or a FASTA file of the genome, or a table of names and lengths, such
        as ``hg38.chrom.sizes`` or ``hg38.fa.fai``; by default those that a run on a :class:`GenomeDataset` has kept.
    alphabet : str, optional
        For FASTA: the letters of the sequences, in the order of their rows, or "DNA", "RNA" or "protein"; by default
        DNA where there are four, and protein where there are twenty.

    Returns
    -------
    dict of str to list of pathlib.Path
        The files by the name of their format. Each is complete; one that an earlier call wrote is replaced. After an
        error those of earlier formats remain.

    Raises
    ------
    InputError
        If there is no such format, or these results cannot be written so; then nothing is written.
    ResultsError
        If rows are missing, or a shard is damaged.
    DiskError
        If a file cannot be written, for instance on a full disk.
    MissingExtra
        If the library for a format is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 2))
    >>> with tempfile.TemporaryDirectory() as out:
    ...     results = sl.run(model, sl.random_one_hot((3, 4, 10)), out=out, accelerator="cpu", progress=False)
    ...     files = sl.export(results, "npz,tsv")
    ...     print(*(path.name for paths in files.values() for path in paths))
    ...     print(files["tsv"][0].read_text().split("\n")[0].split())
    predictions.npz predictions.tsv
    ['row', 'predictions_0', 'predictions_1']
    """
    names = require_formats(formats)
    opened = as_results(results)
    folder = opened.path if out is None else as_folder(out)
    require_writable(folder)
    if not len(opened):
        raise InputError(f"the run in {opened.path} has no rows: there is nothing to export.")
    kept = opened.manifest.chrom_sizes or None
    sizes = kept if chrom_sizes is None else as_chromosome_sizes(chrom_sizes)
    job = ExportJob(opened, folder, sizes, alphabet)
    for name in names:
        FORMATS[name].check(job)
    opened.verify()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return {name: FORMATS[name].write(job) for name in names}
    except OSError as error:
        if isinstance(error, SeqlightError):
            raise
        raise DiskError(
            f"{folder} could not be written to ({error.strerror or error}): make room, or give another folder; the "
            "results have not changed.",
            error.errno,
        ) from error
