"""Positive seqlets against those of tangermeme, over many random inputs and settings.

Spans must be equal, and p-values of at least 1e-50 within a relative 1e-9.
Needs the extra ``bench``; writes results/agreement_seqlets.json.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
from harness import write_agreement
from numpy.typing import NDArray
from tangermeme.seqlet import recursive_seqlets as tangermeme_seqlets

from seqlight.seqlets.recursive.caller import recursive_seqlets

SPAN = ["example_idx", "start", "end"]


def random_input(rng: np.random.RandomState) -> NDArray[Any]:
    """Return noise of several kinds with blocks of higher values, in single or double precision."""
    shape = int(rng.choice([1, 2, 7, 40])), int(rng.choice([5, 30, 101, 500, 2114]))
    kind = rng.choice(["laplace", "normal", "rectified", "coarse", "positive"])
    X = rng.laplace(size=shape) if kind == "laplace" else rng.normal(size=shape)
    if kind == "rectified":
        X = X.clip(0)
    if kind == "coarse":
        X = np.round(X, 1)
    if kind == "positive":
        X = np.exp(X)
    for row in range(shape[0]):
        for start in rng.randint(0, shape[1], rng.poisson(2)):
            X[row, start : start + rng.randint(3, 20)] += rng.uniform(-4, 6)
    return X.astype(rng.choice(["float32", "float64"]))


def random_settings(rng: np.random.RandomState) -> dict[str, Any]:
    shortest = int(rng.choice([1, 2, 4, 6]))
    return {
        "threshold": float(rng.choice([1.0, 0.5, 0.1, 0.03, 0.01, 1e-3, 1e-5, 1e-10])),
        "min_seqlet_len": shortest,
        "max_seqlet_len": shortest + int(rng.choice([0, 3, 10, 21])),
        "n_bins": int(rng.choice([2, 10, 100, 1000])),
    }


def sort_by_span(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(SPAN).reset_index(drop=True)


def compare(trials: int) -> dict[str, Any]:
    n_calls, n_checked, unequal, worst_p, worst_sum, smallest = 0, 0, 0, 0.0, 0.0, 1.0
    for seed in range(trials):
        rng = np.random.RandomState(seed)
        X, settings = random_input(rng), random_settings(rng)
        ours = sort_by_span(recursive_seqlets(X, sign="positive", **settings))
        theirs = sort_by_span(tangermeme_seqlets(X, **settings))
        n_calls += len(theirs)
        if not ours[SPAN].equals(theirs[SPAN]):
            unequal += 1
            print(f"seed {seed}: {len(ours)} calls against {len(theirs)}, {X.shape} {X.dtype} {settings}")
            continue
        p, q = ours["p-value"].to_numpy(), theirs["p-value"].to_numpy()
        checked = q >= 1e-50
        n_checked += int(checked.sum())
        worst_p = max(worst_p, np.abs(p[checked] / q[checked] - 1).max(initial=0))
        smallest = min(smallest, q[checked].min(initial=1))
        scale = np.abs(X).max()
        gap = np.abs(ours["attribution"] - theirs["attribution"]).to_numpy() / scale
        worst_sum = max(worst_sum, gap.max(initial=0))
    return {
        "trials": trials,
        "trials_with_unequal_spans": unequal,
        "seqlets": n_calls,
        "p_values_compared": n_checked,
        "smallest_p_value_compared": smallest,
        "largest_relative_difference_of_p": worst_p,
        "largest_difference_of_attribution_over_largest_value": worst_sum,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    found = compare(parser.parse_args().trials)
    packages = ("seqlight", "tangermeme", "numpy", "numba", "torch")
    write_agreement("agreement_seqlets", "Are positive recursive seqlets those of tangermeme?", found, packages)
    print(
        f"{found['trials']} inputs, {found['seqlets']} seqlets: spans differ in "
        f"{found['trials_with_unequal_spans']}, p within {found['largest_relative_difference_of_p']:.1e}"
    )
    if found["trials_with_unequal_spans"] or found["largest_relative_difference_of_p"] > 1e-9:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
