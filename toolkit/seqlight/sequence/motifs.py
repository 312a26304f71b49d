"""Motifs from where people keep them: MEME files and JASPAR."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.extras import extra

Motifs = dict[str, NDArray[np.float64]]


def read_meme(path: str | PathLike[str]) -> Motifs:
    """Read the motifs of a file in MEME format, with memelite's reader.

    Parameters
    ----------
    path : str or path
        Of the file.

    Returns
    -------
    dict of str to numpy.ndarray, shape (letters, positions)
        Frequencies, named as behind MOTIF ("MA0139.2 CTCF").

    Raises
    ------
    InputError
        If there is no motif in the file.
    MissingExtra
        If memelite is not installed.
    """
    found: Motifs = extra("memelite.io", "motifs").read_meme(str(path))
    if not found:
        raise InputError(f"{path} holds no motif: expected a file in MEME format, with MOTIF lines.")
    return found


def jaspar_motifs(release: str = "JASPAR2024", collection: str = "CORE", **filters: Any) -> Motifs:
    """Return motifs of a release of JASPAR; pyjaspar brings them along, so nothing is downloaded.

    Parameters
    ----------
    release, collection : str
        Which of JASPAR's.
    **filters
        Of pyjaspar's ``fetch_motifs``: `tax_group`, `species`, `tf_class`, `tf_family`, `min_ic` ...

    Returns
    -------
    dict of str to numpy.ndarray, shape (4, positions)
        Frequencies, named as in JASPAR's own MEME files: "MA0139.2 CTCF".

    Raises
    ------
    InputError
        If there is no such release, or no motif passes the filters.
    MissingExtra
        If pyjaspar is not installed.

    Examples
    --------
    >>> from seqlight import jaspar_motifs
    >>> jaspar_motifs(tax_group="vertebrates", tf_name="CTCF")["MA0139.2 CTCF"].shape
    (4, 15)
    """
    pyjaspar = extra("pyjaspar", "motifs")
    if release not in pyjaspar.jaspar_releases:
        raise InputError(f"release is {release!r}: expected one of {', '.join(pyjaspar.jaspar_releases)}.")
    database = pyjaspar.jaspardb(release=release)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Zero motifs")  # an error below
            fetched = database.fetch_motifs(collection=collection, **filters)
    finally:
        database.conn.close()
    if not fetched:
        raise InputError(f"no motif of {release}, collection {collection}, passes {filters}: loosen the filters.")
    counts = {f"{one.matrix_id} {one.name}": np.array([one.counts[letter] for letter in "ACGT"]) for one in fetched}
    return {name: count / count.sum(axis=0) for name, count in counts.items()}


def as_motifs(source: str | PathLike[str] | Mapping[str, Any]) -> Motifs:
    """Return checked motifs.

    Parameters
    ----------
    source : str, path, or mapping of str to array of shape (letters, positions)
        A file in MEME format, or frequencies by name.

    Returns
    -------
    dict of str to numpy.ndarray, float64, shape (letters, positions)

    Raises
    ------
    InputError
        If there is no motif, or one is not finite, below 0, or of another shape.

    Examples
    --------
    >>> as_motifs({"GA": [[0, 1], [0, 0], [1, 0], [0, 0]]})["GA"].shape
    (4, 2)
    """
    if isinstance(source, str | PathLike):
        return read_meme(Path(source))
    if not isinstance(source, Mapping) or not source:
        raise InputError("motifs is no file and holds no motif: expected a MEME file, or frequencies by name.")
    motifs = {str(name): np.asarray(motif, dtype=np.float64) for name, motif in source.items()}
    for name, motif in motifs.items():
        if motif.ndim != 2 or 0 in motif.shape:
            raise InputError(f"motif {name!r} has shape {motif.shape}: expected (letters, positions).")
        if not np.isfinite(motif).all() or (motif < 0).any():
            raise InputError(f"motif {name!r} holds NaN, infinity or numbers below 0: expected frequencies.")
    return motifs
