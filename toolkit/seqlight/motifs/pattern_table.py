"""A line for each motif: how many seqlets it has, what it spells, and which known motif it resembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.formats.motifs import Motifs
from seqlight.motifs.patterns import Pattern
from seqlight.seqlets.tomtom import compare

# Letters of IUPAC for each set of A, C, G and T, as a sum of 1, 2, 4 and 8.
IUPAC = "NACMGRSVTWYHKDBN"


def consensus(frequencies: NDArray[np.float64]) -> str:
    """Return what a motif spells, in letters of IUPAC.

    One letter where it is more frequent than half, and twice as frequent as the next; two where these are more
    frequent than three quarters together; else N.

    References
    ----------
    Cavener (1987), Comparison of the consensus sequence flanking translational start sites in Drosophila and
    vertebrates, Nucleic Acids Research 15:1353.

    Examples
    --------
    >>> consensus(np.array([[0.9, 0.4, 0.25], [0.1, 0.1, 0.25], [0, 0.4, 0.25], [0, 0.1, 0.25]]))
    'ARN'
    """
    order = np.argsort(-frequencies, axis=0, kind="stable")
    ranked = np.take_along_axis(frequencies, order, axis=0)
    one = (ranked[0] > 0.5) & (ranked[0] >= 2 * ranked[1])
    two = ranked[0] + ranked[1] > 0.75
    codes = np.where(one, 1 << order[0], np.where(two, (1 << order[0]) + (1 << order[1]), 15))
    return "".join(IUPAC[code] for code in codes.tolist())


def pattern_table(patterns: Sequence[Pattern], known: Motifs | None = None) -> pd.DataFrame:
    """Return a table of motifs, the most frequent of each sign first, as TF-MoDISco has them.

    Parameters
    ----------
    patterns : sequence of Pattern
    known : dict of str to numpy.ndarray, optional
        Known motifs; the most similar one is found by Tomtom, on the trimmed pattern.

    Returns
    -------
    pandas.DataFrame
        Columns motif, sign, seqlets, consensus, mean_contribution (of a seqlet, within the trimmed pattern); and with
        `known` also known, known_p-value, known_q-value (Benjamini and Hochberg, over all known motifs) and
        known_strand.
    """
    rows = []
    for one in patterns:
        first, last = one.span()
        row: dict[str, Any] = {
            "motif": one.name,
            "sign": "positive" if one.sign > 0 else "negative",
            "seqlets": len(one.seqlets),
            "consensus": consensus(one.trimmed()),
            "mean_contribution": float(one.contributions[:, first:last].sum()),
        }
        rows.append(row if known is None else row | nearest_motif(one.trimmed(), known))
    columns = ["motif", "sign", "seqlets", "consensus", "mean_contribution"]
    more = [] if known is None else ["known", "known_p-value", "known_q-value", "known_strand"]
    return pd.DataFrame(rows, columns=columns + more)


def nearest_motif(frequencies: NDArray[np.float64], known: Motifs) -> dict[str, Any]:
    """Return name, p-value, q-value and strand of the known motif that a motif resembles most, by Tomtom.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> known = {f"motif {i}": rng.dirichlet([0.1] * 4, size=8).T for i in range(50)}
    >>> nearest_motif(known["motif 7"][::-1, ::-1], known)["known"]
    'motif 7'
    """
    found = compare([np.arange(frequencies.shape[1])], list(known.values()), frequencies)
    p_values = found.p_value[0]
    best = int(p_values.argmin())
    ranked = np.sort(p_values) * len(p_values) / np.arange(1, len(p_values) + 1)
    return {
        "known": list(known)[best],
        "known_p-value": float(p_values[best]),
        "known_q-value": float(min(ranked.min(), 1)),
        "known_strand": "-" if found.reverse[0, best] else "+",
    }
