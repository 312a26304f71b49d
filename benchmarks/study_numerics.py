"""Ask how far attributions are from those in float64, by dtype, batch, thread, process and device.

Usage: ``python benchmarks/study_numerics.py``; ``--page`` only draws what is stored.
Writes results/study_numerics.json, docs/studies/images/numerics.png and the numbers in docs/studies/numerics.md.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pages import BLUE, GREEN, ORANGE, PINK
from suite_tables import to_markdown, update_study

from seqlight.studies.suites.numerics import SUITE

COLORS = {"seqlight": BLUE, "tangermeme": ORANGE, "captum-deeplift": GREEN, "input-x-gradient": PINK}
DEVIATIONS = {"rms": ".0e", "largest": ".0e", "top_overlap": ".2f"}


def table(tables: dict[str, pd.DataFrame]) -> str:
    """Return the numbers as Markdown."""
    dtypes = tables["dtypes"].assign(error=tables["dtypes"]["error"].str.slice(0, 90))
    names = {"top_overlap": "top in common"}
    formats = {**DEVIATIONS, "top in common": ".2f"}
    columns = ["network", "implementation", "setting", *DEVIATIONS, "error"]
    parts = ["By dtype, against the same implementation in float64:\n"]
    parts.append(to_markdown(dtypes[columns].rename(columns=names), formats))
    parts.append("Over batches of 1, 7, 32 and all pairs, and 1 and 2 threads, against float64:\n")
    parts.append(to_markdown(batch_summary(tables["batches"])))
    parts.append("In two processes, and on CUDA, in float32 against float64 on the CPU:\n")
    places = tables["places"].copy()
    same = {True: "yes", False: "no"}
    places["same bits as with one thread"] = places["same_bits"].map(same, na_action="ignore")
    columns = ["network", "place", "rms", "largest", "same bits as with one thread", "error"]
    parts.append(to_markdown(places[columns], DEVIATIONS))
    return "\n".join(parts)


def batch_summary(batches: pd.DataFrame) -> pd.DataFrame:
    """Return the range of the largest deviation, and in how many of the settings all bits are the same."""
    rows = []
    for (network, implementation, dtype), some in batches.groupby(["network", "implementation", "dtype"], sort=False):
        done = some[some["error"] == ""]
        largest = done["largest"].astype(float)
        same = int(done["same_bits"].astype(bool).sum())
        rows.append(
            {
                "network": network,
                "implementation": implementation,
                "dtype": dtype,
                "largest, at least": f"{largest.min():.0e}",
                "at most": f"{largest.max():.0e}",
                "same bits as the first": f"{same} of {len(some)}",
            }
        )
    return pd.DataFrame(rows)


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    dtypes = tables["dtypes"]
    networks, settings = list(dict.fromkeys(dtypes["network"])), list(dict.fromkeys(dtypes["setting"]))
    figure = Figure(figsize=(4 * len(networks) + 1, 4.4), layout="constrained")
    for i, (ax, network) in enumerate(zip(figure.subplots(1, len(networks), sharey=True), networks, strict=True)):
        for k, (name, color) in enumerate(COLORS.items()):
            rows = dtypes[(dtypes["network"] == network) & (dtypes["implementation"] == name)].set_index("setting")
            values = rows["rms"].astype(float).reindex(settings)
            places = np.arange(len(settings)) + 0.15 * (k - 1.5)
            ax.plot(values, places, "o", color=color, label=name)
            missing = values.isna() & (rows["error"].reindex(settings).fillna("") != "")
            ax.plot(np.full(missing.sum(), 3.0), places[missing], "x", color=color)
        ax.set(xscale="log", xlim=(1e-8, 10), title=network, xlabel="rms deviation from float64")
        ax.set_yticks(range(len(settings)), settings)
        if not i:
            ax.invert_yaxis()
            ax.legend(frameon=False, fontsize=8, loc="center left")
    return figure


if __name__ == "__main__":
    update_study(SUITE, ("seqlight", "tangermeme", "captum", "torch", "numpy"), draw, table)
