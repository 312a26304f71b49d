"""The known motifs that seqlets resemble."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError, SeqlightWarning
from seqlight.formats.motifs import Motifs, nucleotide_motifs
from seqlight.seqlets.cuts import cut_seqlets
from seqlight.seqlets.tomtom import UNKNOWN, compare
from seqlight.sequence.checks import require_count

# Tomtom returns three numbers for each pair of seqlet and motif: 34 MB for 2,000 motifs.
SEQLETS_AT_ONCE = 1000
# MEME's own Tomtom warns below 50.
FEW_MOTIFS = 25


def annotate_seqlets(
    X: Tensor | NDArray[Any],
    seqlets: pd.DataFrame,
    motifs: str | PathLike[str] | Mapping[str, Any] | Sequence[Any],
    n_nearest: int = 1,
    n_jobs: int = -1,
) -> pd.DataFrame:
    """Find the motifs that each seqlet resembles most, by Tomtom.

    Parameters
    ----------
    X : torch.Tensor or numpy.ndarray, shape (examples, 4, positions)
        One-hot.
    seqlets : pandas.DataFrame
        Columns example_idx, start and end. The sequence in this interval is compared, so call seqlets without flanks.
    motifs : str, path, mapping of str to array of shape (4, positions), or sequence of motifs
        A file of MEME or JASPAR; frequencies by name, as from ``jaspar_motifs()``; or motifs as pyjaspar fetches them.
        Counts become frequencies if all positions of a motif have the same sum.
    n_nearest : int
        How many motifs to return for each seqlet.
    n_jobs : int
        Ignored: accepted for compatibility with other implementations; this one uses a single thread.

    Returns
    -------
    pandas.DataFrame, `n_nearest` rows for each seqlet, the best first
        The table, in its order, with the columns motif (its name), motif_p-value (of the best alignment of the two on
        either strand), motif_q-value (by Benjamini and Hochberg, over all motifs for this seqlet), motif_offset (the
        position of the seqlet at which the motif begins, counted from 0 and possibly negative) and motif_strand ("-"
        if the motif's reverse complement aligns).

    Raises
    ------
    InputError
        If an argument cannot be used, or a seqlet is not one-hot or has no known character.

    Warns
    -----
    SeqlightWarning
        If there are fewer than 25 motifs.

    Notes
    -----
    The null of Tomtom is made of the columns of all given motifs, so p-values depend on them: give a whole database.

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
    known = nucleotide_motifs(motifs)
    if len(known) < FEW_MOTIFS:
        warnings.warn(
            f"{len(known)} motifs are fewer than {FEW_MOTIFS}, and p-values, whose null is made of their columns, "
            "depend on which they are: give a whole database.",
            SeqlightWarning,
            stacklevel=2,
        )
    n = min(require_count(n_nearest, "n_nearest", least=1), len(known))
    pieces = _seqlet_letters(X, seqlets)
    found = [_best_motifs(pieces[i : i + SEQLETS_AT_ONCE], known, n) for i in range(0, len(pieces), SEQLETS_AT_ONCE)]
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    which, p_value, q_value, offset, strand = columns or [np.empty(0)] * 5
    return (
        seqlets.iloc[np.arange(len(seqlets)).repeat(n)]
        .reset_index(drop=True)
        .assign(
            **{
                "motif": np.array(list(known), dtype=object)[which.astype(np.int64)],
                "motif_p-value": p_value.astype(np.float64),
                "motif_q-value": q_value.astype(np.float64),
                # Tomtom reports where in the motif the seqlet begins.
                "motif_offset": -offset.astype(np.int64),
                "motif_strand": np.where(strand == 1, "-", "+"),
            }
        )
    )


def _seqlet_letters(X: Tensor | NDArray[Any], seqlets: pd.DataFrame) -> list[NDArray[np.int64]]:
    """Return the letters of each seqlet, as :func:`seqlight.seqlets.tomtom.compare` takes them."""
    if getattr(X, "ndim", 3) == 3 and X.shape[1] != UNKNOWN:
        raise InputError(f"X has {X.shape[1]} letters: expected four, A, C, G and T; of unknown ones all are 0.")
    cut = cut_seqlets(X, seqlets, lengths="list").one_hot
    pieces = []
    for row, piece in enumerate(one.numpy(force=True) for one in cut):
        if not piece.any():
            raise InputError(f"the seqlet in row {row} is empty or has no known character: leave it out.")
        if not np.isin(piece, (0, 1)).all() or piece.sum(axis=0).max() > 1:
            raise InputError(
                f"X is not one-hot at the seqlet in row {row}: expected the sequences themselves, not their "
                "attributions."
            )
        pieces.append(np.where(piece.any(axis=0), piece.argmax(axis=0), UNKNOWN))
    return pieces


def _best_motifs(pieces: list[NDArray[np.int64]], known: Motifs, n: int) -> list[NDArray[Any]]:
    """Return index, p-value, q-value, offset and strand of the `n` best motifs of each piece, one array each."""
    compared = compare(pieces, list(known.values()))
    order = np.argsort(compared.p_value, axis=1, kind="stable")
    ranked = np.take_along_axis(compared.p_value, order, axis=1)
    rates = ranked * len(known) / np.arange(1, len(known) + 1)
    q_values = np.minimum(np.minimum.accumulate(rates[:, ::-1], axis=1)[:, ::-1], 1)
    best = order[:, :n]
    offset, strand = (np.take_along_axis(one, best, axis=1) for one in (compared.offset, compared.reverse))
    return [one.ravel() for one in (best, ranked[:, :n], q_values[:, :n], offset, strand)]
