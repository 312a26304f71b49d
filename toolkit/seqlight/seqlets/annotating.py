"""Which known motif each seqlet looks like."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError
from seqlight.extras import extra
from seqlight.seqlets.cutting import cut_seqlets
from seqlight.sequence.checks import require_count
from seqlight.sequence.motifs import Motifs, as_motifs

# Tomtom returns five numbers for each pair of a seqlet and a motif: 80 MB for 2,000 motifs.
SEQLETS_AT_ONCE = 1000
P_VALUE, OFFSET, STRAND = 0, 2, 4


def annotate_seqlets(
    X: Tensor | NDArray[Any],
    seqlets: pd.DataFrame,
    motifs: str | PathLike[str] | Mapping[str, Any],
    n_nearest: int = 1,
    n_jobs: int = -1,
) -> pd.DataFrame:
    """Find the motifs that each seqlet is most similar to, with memelite's Tomtom.

    Parameters
    ----------
    X : torch.Tensor or numpy.ndarray, shape (examples, 4, positions)
        One-hot.
    seqlets : pandas.DataFrame
        Columns example_idx, start and end. Their own sequence is compared, so call them without flanks.
    motifs : str, path, or mapping of str to array of shape (4, positions)
        A file in MEME format, or frequencies by name, such as ``jaspar_motifs()`` returns.
    n_nearest : int
        How many motifs to return for each seqlet.
    n_jobs : int
        Threads; all by default.

    Returns
    -------
    pandas.DataFrame, `n_nearest` rows for each seqlet, the best first
        The table, in its order, with the columns motif (its name), motif_p-value (of the best alignment of
        the two on either strand), motif_q-value (Benjamini and Hochberg's over all motifs, for this seqlet),
        motif_offset (the position of the seqlet, from 0 and maybe below, at which the motif begins) and
        motif_strand ("-" where the motif's reverse complement aligns).

    Raises
    ------
    InputError
        If an argument cannot be used, `X` is not one-hot at a seqlet, or that has no known character.
    MissingExtra
        If memelite is not installed.

    Notes
    -----
    Tomtom's null are the columns of all motifs given, so p-values depend on them: give a whole database.
    memelite warns where there are fewer than 25. Its first call on a machine compiles for up to a minute.

    Source: Gupta et al. (2007), Quantifying similarity between motifs.

    Examples
    --------
    >>> import pandas as pd
    >>> from seqlight import annotate_seqlets, jaspar_motifs, random_one_hot, substitute
    >>> X = substitute(random_one_hot((1, 4, 60), random_state=0), "ATGACTCAT", start=20)
    >>> seqlets = pd.DataFrame({"example_idx": [0], "start": [20], "end": [29]})
    >>> named = annotate_seqlets(X, seqlets, jaspar_motifs(tax_group="vertebrates"))
    >>> bool(named["motif_q-value"][0] < 0.01)
    True
    """
    known = as_motifs(motifs)
    for name, motif in known.items():
        if len(motif) != 4:
            raise InputError(f"motif {name!r} has {len(motif)} letters: expected four, A, C, G and T, as rows.")
    n = min(require_count(n_nearest, "n_nearest", least=1), len(known))
    queries = _queries(X, seqlets)
    found = [_nearest(queries[i : i + SEQLETS_AT_ONCE], known, n, n_jobs) for i in _starts(len(queries))]
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    which, p_value, q_value, offset, strand = columns or [np.empty(0)] * 5
    return (
        seqlets.loc[seqlets.index.repeat(n)]
        .reset_index(drop=True)
        .assign(
            **{
                "motif": np.array(list(known), dtype=object)[which.astype(np.int64)],
                "motif_p-value": p_value.astype(np.float64),
                "motif_q-value": q_value.astype(np.float64),
                # Tomtom says where in the motif the seqlet begins.
                "motif_offset": -offset.astype(np.int64),
                "motif_strand": np.where(strand == 1, "-", "+"),
            }
        )
    )


def _starts(n: int) -> range:
    return range(0, n, SEQLETS_AT_ONCE)


def _queries(X: Tensor | NDArray[Any], seqlets: pd.DataFrame) -> list[NDArray[np.float64]]:
    cut = cut_seqlets(X, seqlets, lengths="list").one_hot
    queries = [one.numpy(force=True).astype(np.float64) for one in cut]
    for row, query in enumerate(queries):
        if not query.any():
            raise InputError(f"the seqlet in row {row} is empty or has no known character: leave it out.")
        if not np.isin(query, (0, 1)).all() or query.sum(axis=0).max() > 1:
            raise InputError(
                f"X is not one-hot at the seqlet in row {row}: expected the sequences themselves, not their "
                "attributions."
            )
    return queries


def _nearest(queries: list[NDArray[np.float64]], known: Motifs, n: int, n_jobs: int) -> list[NDArray[Any]]:
    """Return index, p-value, q-value, offset and strand of the `n` best motifs of each query, one array each."""
    compared = extra("memelite.tomtom", "motifs").tomtom(queries, list(known.values()), n_jobs=n_jobs)
    p_values = compared[P_VALUE]
    order = np.argsort(p_values, axis=1, kind="stable")
    ranked = np.take_along_axis(p_values, order, axis=1)
    rates = ranked * len(known) / np.arange(1, len(known) + 1)
    q_values = np.minimum(np.minimum.accumulate(rates[:, ::-1], axis=1)[:, ::-1], 1)
    best = order[:, :n]
    offset, strand = (np.take_along_axis(compared[i], best, axis=1) for i in (OFFSET, STRAND))
    return [one.ravel() for one in (best, ranked[:, :n], q_values[:, :n], offset, strand)]
