"""The table of formats, by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from seqlight.errors import InputError, kind_of
from seqlight.exports.array_files import check_arrays, write_file
from seqlight.exports.export_job import ExportJob
from seqlight.exports.modisco_input import check_modisco, write_modisco_input
from seqlight.exports.row_files import check_bed, check_fasta, write_loci, write_sequences
from seqlight.exports.tables import check_table, write_table
from seqlight.exports.track_files import check_tracks, write_tracks
from seqlight.extras import import_extra


class Format(NamedTuple):
    """How results are written in a format.

    Attributes
    ----------
    check : callable
        Raises InputError if these results cannot be written so.
    write : callable
        Writes the files, and returns their paths.
    library : tuple of str, optional
        The module that it needs, and the extra that installs it.
    """

    check: Callable[[ExportJob], None]
    write: Callable[[ExportJob], list[Path]]
    library: tuple[str, str] | None = None


FORMATS = {
    "npz": Format(check_arrays(".npz"), write_file(".npz")),
    "hdf5": Format(check_arrays(".h5"), write_file(".h5"), ("h5py", "export")),
    "zarr": Format(check_arrays(".zarr"), write_file(".zarr"), ("zarr", "export")),
    "modisco": Format(check_modisco, write_modisco_input),
    "bigwig": Format(check_tracks, write_tracks),
    "bed": Format(check_bed, write_loci),
    "fasta": Format(check_fasta, write_sequences),
    "tsv": Format(check_table, write_table),
}
# What people, and the suffixes of files, call them.
ALIASES = {"h5": "hdf5", "bw": "bigwig", "fa": "fasta", "tf-modisco": "modisco", "table": "tsv"}


def require_formats(formats: str | Iterable[str]) -> list[str]:
    """Return the names of formats, each once, after making sure that their libraries are installed.

    Parameters
    ----------
    formats : str or iterable of str
        Names, in a string separated by commas.

    Raises
    ------
    InputError
        If there is no such format; the message has the nearest one.
    MissingExtra
        If a library is not installed.

    Examples
    --------
    >>> require_formats("npz, h5,npz")
    ['npz', 'hdf5']
    """
    if not isinstance(formats, str | Iterable) or isinstance(formats, bytes):
        raise InputError(f"formats is {kind_of(formats)}: expected names, such as 'npz' or ['npz', 'bigwig'].")
    given = [part for one in ([formats] if isinstance(formats, str) else formats) for part in _split(one)]
    names = list(dict.fromkeys(ALIASES.get(one, one) for one in given))
    for name in names:
        if name not in FORMATS:
            nearest = difflib.get_close_matches(name, [*FORMATS, *ALIASES], n=1)
            guess = f"; did you mean {ALIASES.get(nearest[0], nearest[0])}?" if nearest else "."
            raise InputError(f"there is no format {name!r}: expected {', '.join(FORMATS)}{guess}")
        library = FORMATS[name].library
        if library is not None:
            import_extra(*library)
    if not names:
        raise InputError(f"formats is empty: expected one or more of {', '.join(FORMATS)}.")
    return names


def _split(names: object) -> list[str]:
    if not isinstance(names, str):
        raise InputError(f"a format is {kind_of(names)}: expected a name, such as 'npz'.")
    return [one.strip().lower().removeprefix(".") for one in names.split(",") if one.strip()]
