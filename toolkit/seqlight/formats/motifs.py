"""Motifs from files, JASPAR, Biopython, arrays and tables, checked and as frequencies."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError, kind_of
from seqlight.extras import import_extra
from seqlight.formats.jaspar_reader import is_jaspar, read_jaspar
from seqlight.formats.meme_reader import Motifs as Motifs
from seqlight.formats.meme_reader import read_meme as read_meme
from seqlight.formats.meme_reader import read_nucleotides
from seqlight.sequence.checks import require_dense
from seqlight.sequence.motif_frequencies import are_frequencies, as_frequencies, find_fault

NUCLEOTIDES = ({"A", "C", "G", "T"}, {"A", "C", "G", "U"})


def jaspar_motifs(release: str = "JASPAR2024", collection: str = "CORE", **filters: Any) -> Motifs:
    """Return motifs from JASPAR; the package pyjaspar contains them, so nothing is downloaded.

    Parameters
    ----------
    release, collection : str
        The release and the collection of JASPAR.
    **filters
        Filters of pyjaspar's ``fetch_motifs``: `tax_group`, `species`, `tf_class`, `tf_family`, `min_ic` ...

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
    pyjaspar = import_extra("pyjaspar", "motifs")
    if release not in pyjaspar.jaspar_releases:
        raise InputError(f"release is {release!r}: expected one of {', '.join(pyjaspar.jaspar_releases)}.")
    database = pyjaspar.jaspardb(release=release)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Zero motifs")  # raised as an error below
            fetched = database.fetch_motifs(collection=collection, **filters)
    finally:
        database.conn.close()
    if not fetched and not filters:
        raise InputError(f"{release} has no motif in a collection {collection!r}: expected one such as CORE.")
    if not fetched:
        raise InputError(f"no motif of {release}, collection {collection}, passes {filters}: loosen the filters.")
    return as_motifs(fetched)


def as_motifs(source: str | PathLike[str] | Mapping[str, Any] | Sequence[Any], *, counts: bool = True) -> Motifs:
    """Return checked motifs.

    Parameters
    ----------
    source : str, path, mapping of str to array of shape (letters, positions), or sequence of motifs
        A file in MEME format or one of JASPAR's, told apart by content; a mapping from names to frequencies or counts,
        each an array, a tensor, a table or a mapping with a row for each letter, or a motif of Biopython; or motifs
        with names, such as pyjaspar fetches.
    counts : bool
        Whether counts become frequencies (True) or are an error (False). A motif has counts if all of its positions
        sum to the same number above one; a motif of Biopython always has them.

    Returns
    -------
    dict of str to numpy.ndarray, float64, shape (letters, positions)
        Frequencies: each position sums to one. Rows named by letters are in alphabetical order, others in theirs.

    Raises
    ------
    InputError
        If there is no motif, or one is not finite, below 0, of another shape, or neither frequencies nor counts.

    Examples
    --------
    >>> as_motifs({"GA": [[0, 1], [0, 0], [1, 0], [0, 0]]})["GA"].shape
    (4, 2)
    >>> as_motifs({"T or A": {"T": [3], "A": [9], "C": [0], "G": [0]}})["T or A"][:, 0]
    array([0.75, 0.  , 0.  , 0.25])
    """
    if isinstance(source, str | PathLike):
        return read_jaspar(source) if is_jaspar(source) else read_meme(source)
    return {name: _checked(name, motif, counts) for name, motif in _by_name(source).items()}


def nucleotide_motifs(source: str | PathLike[str] | Mapping[str, Any] | Sequence[Any]) -> Motifs:
    """Return checked motifs of DNA or RNA, with rows A, C, G and T; see `as_motifs`.

    Raises
    ------
    InputError
        If a motif has another number of letters, or its rows are named by others.

    Examples
    --------
    >>> nucleotide_motifs({"AT": [[1, 0], [0, 0], [0, 0], [0, 1]]})["AT"].shape
    (4, 2)
    """
    if isinstance(source, str | PathLike):
        return read_jaspar(source) if is_jaspar(source) else read_nucleotides(source)
    known = as_motifs(source)
    for name, motif in known.items():
        if len(motif) != 4:
            raise InputError(f"motif {name!r} has {len(motif)} letters: expected four, A, C, G and T, as rows.")
    for name, motif in _by_name(source).items():
        letters = _letters(motif.counts if _has_counts(motif) else motif)
        if letters is not None and {one.upper() for one in letters} not in NUCLEOTIDES:
            raise InputError(f"motif {name!r} has rows for {', '.join(letters)}: expected A, C, G and T.")
    return known


def _by_name(source: Any) -> dict[str, Any]:
    if isinstance(source, Sequence) and all(map(_has_counts, source)):
        named = [
            (" ".join(str(getattr(one, key)) for key in ("matrix_id", "name") if hasattr(one, key)), one)
            for one in source
        ]
    elif isinstance(source, Mapping):
        named = [(str(name), motif) for name, motif in source.items()]
    else:
        named = []
    if not named:
        raise InputError(
            "motifs is no file and holds no motif: expected a file of MEME or JASPAR, or frequencies by name."
        )
    by_name = dict(named)
    if len(by_name) < len(named):
        twice = Counter(name for name, _ in named).most_common(1)[0][0]
        raise InputError(f"two motifs are named {twice!r}: give each its own name.")
    return by_name


def _has_counts(motif: Any) -> bool:
    """Return whether this is a motif of Biopython, as those of pyjaspar are."""
    return isinstance(getattr(motif, "counts", None), Mapping)


def _checked(name: str, motif: Any, counts: bool) -> NDArray[np.float64]:
    array = _array(name, motif.counts if _has_counts(motif) else motif)
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"motif {name!r} has shape {array.shape}: expected (letters, positions).")
    if _has_counts(motif) and (array.sum(axis=0) > 0).all():
        # Each position may have another number of sequences.
        array = array / array.sum(axis=0)
    if (wrong := find_fault(array)) is not None:
        remedy = "; transposed it would be right" if find_fault(array.T) is None else ""
        raise InputError(f"motif {name!r} {wrong.what}{remedy}.")
    if not counts and not are_frequencies(array):
        raise InputError(
            f"motif {name!r} has a position that does not sum to one: expected frequencies, such as counts / "
            "counts.sum(axis=0)."
        )
    return as_frequencies(array)


def _array(name: str, motif: Any) -> NDArray[np.float64]:
    if isinstance(motif, Tensor):
        require_dense(motif, f"motif {name!r}")
    if np.ma.is_masked(motif):
        raise InputError(f"motif {name!r} is a masked array with masked entries: fill them, with `.filled(0)`.")
    try:
        plain = np.asarray(_by_position(motif))
        if plain.dtype.kind in "biufO":
            return plain.astype(np.float64)
    except (TypeError, ValueError):
        pass
    word = f"; a site is written as one_hot_encode({motif!r})" if isinstance(motif, str) else ""
    raise InputError(
        f"motif {name!r} is {kind_of(motif)} that is no array of numbers: expected shape (letters, positions){word}."
    )


def _by_position(motif: Any) -> Any:
    """Return the rows in alphabetical order if they are named by letters, and other motifs unchanged."""
    if isinstance(motif, Tensor):
        return motif.detach().double().numpy(force=True)
    if isinstance(motif, pd.DataFrame):
        motif = motif.T if _are_letters(motif.columns) and not _are_letters(motif.index) else motif
        return motif.sort_index(key=lambda index: index.str.upper()) if _are_letters(motif.index) else motif
    if isinstance(motif, Mapping) and _are_letters(motif):
        return [np.asarray(motif[letter]) for letter in sorted(motif, key=str.upper)]
    return motif


def _letters(motif: Any) -> list[str] | None:
    """Return the letters that name the rows of a table or a mapping; None if none do."""
    for keys in (motif.index, motif.columns) if isinstance(motif, pd.DataFrame) else (motif,):
        if isinstance(keys, pd.Index | Mapping) and _are_letters(keys):
            return list(keys)
    return None


def _are_letters(keys: Iterable[Any]) -> bool:
    return all(isinstance(key, str) and len(key) == 1 and key.isalpha() for key in keys)
