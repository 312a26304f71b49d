"""How often seqlets resemble each known motif: a summary that needs no other program."""

from __future__ import annotations

import pandas as pd

Q_VALUE = 0.05


def known_counts(seqlets: pd.DataFrame, q_value: float = Q_VALUE) -> pd.DataFrame:
    """Return a table with a line for each known motif that seqlets resemble, the most frequent first.

    Parameters
    ----------
    seqlets : pandas.DataFrame
        With the columns example_idx, attribution, motif and motif_q-value, as `seqlight seqlets --motifs` writes it.
    q_value : float
        Seqlets with a q-value below this are counted.

    Returns
    -------
    pandas.DataFrame
        Columns known, seqlets, positive, negative, rows (with at least one of them) and mean_attribution (of a seqlet).
        Related motifs share their seqlets, since each seqlet is counted for the one that it resembles most.

    Examples
    --------
    >>> seqlets = pd.DataFrame({"example_idx": [0, 1], "attribution": [1.0, -0.5], "motif": "GATA1"})
    >>> seqlets["motif_q-value"] = 0.01
    >>> print(known_counts(seqlets).to_string(index=False))
    known  seqlets  positive  negative  rows  mean_attribution
    GATA1        2         1         1     2              0.25
    """
    named = seqlets[seqlets["motif_q-value"] < q_value]
    table = named.assign(positive=named["attribution"] > 0, negative=named["attribution"] < 0).groupby("motif")
    counts = pd.DataFrame(
        {
            "seqlets": table.size(),
            "positive": table["positive"].sum(),
            "negative": table["negative"].sum(),
            "rows": table["example_idx"].nunique(),
            "mean_attribution": table["attribution"].mean(),
        }
    )
    found = counts.rename_axis("known").reset_index()
    return found.sort_values(["seqlets", "known"], ascending=[False, True], ignore_index=True)
