"""TF-MoDISco seqlets against those of modisco-lite 3.0.0, over many random inputs and settings.

Spans, their order and the sign threshold must be equal, to the last bit. Where modisco-lite fails (windows
or null of one sign, sums too close to each other for a histogram), seqlight must only not fail.
Needs modisco-lite 3.0.0, and not the package `modisco`, which installs another version under the same name.
Writes results/agreement_modisco.json.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import Counter
from typing import Any

import numpy as np
from harness import write_agreement
from modiscolite.extract_seqlets import extract_seqlets
from numpy.typing import NDArray

from seqlight.seqlets.modisco.caller import SeqletsAndThresholds, tfmodisco_seqlets

SPAN = ["example_idx", "start", "end"]
# The last has more than a million windows, so that they are sampled.
SHAPES = ((1, 60), (1, 2000), (3, 101), (7, 500), (40, 500), (100, 1000), (600, 2114))
KINDS = ("laplace", "normal", "sparse", "whole", "coarse", "rectified", "tiny", "shifted")


def random_input(rng: np.random.RandomState) -> NDArray[Any]:
    """Return noise of several kinds with blocks of other values, in single or double precision."""
    shape = SHAPES[rng.choice(len(SHAPES), p=[0.15, 0.2, 0.15, 0.2, 0.15, 0.1, 0.05])]
    kind = rng.choice(KINDS)
    X = rng.laplace(size=shape) if kind == "laplace" else rng.normal(size=shape)
    for row in range(shape[0]):
        for start in rng.randint(0, shape[1], rng.poisson(shape[1] / 500)):
            X[row, start : start + rng.randint(3, 20)] += rng.uniform(-2, 4)
    if kind == "sparse":
        X *= rng.uniform(size=shape) < 0.05
    if kind == "whole":
        X = X.round()
    if kind == "coarse":
        X = X.round(1)
    if kind == "rectified":
        X = X.clip(0)
    if kind == "tiny":
        X *= 10.0 ** rng.randint(-18, -10)
    if kind == "shifted":
        X += rng.uniform(-0.5, 0.5)
    return X.astype(rng.choice(["float32", "float64"]))


def random_settings(rng: np.random.RandomState) -> dict[str, Any]:
    if rng.uniform() < 0.3:
        return {}
    return {
        "window_size": int(rng.choice([1, 2, 5, 11, 20, 21, 41])),
        "flank": int(rng.choice([1, 3, 10, 15])),
        "target_fdr": float(rng.choice([0.01, 0.05, 0.2, 0.5])),
        "min_passing_frac": float(rng.choice([0.0, 0.001, 0.03, 0.1])),
        "max_passing_frac": float(rng.choice([0.1, 0.2, 0.5, 1.0])),
        "weak_threshold_for_counting_sign": float(rng.choice([0.1, 0.8, 1.0])),
    }


def modisco_lite_seqlets(X: NDArray[Any], settings: dict[str, Any]) -> tuple[list[tuple[int, int, int]], float]:
    chosen = {"window_size": 21, "flank": 10, "target_fdr": 0.2, "weak_threshold_for_counting_sign": 0.8, **settings}
    chosen["min_passing_windows_frac"] = chosen.pop("min_passing_frac", 0.03)
    chosen["max_passing_windows_frac"] = chosen.pop("max_passing_frac", 0.2)
    suppress = int(0.5 * chosen["window_size"]) + chosen["flank"]
    seqlets, threshold = extract_seqlets(X, suppress=suppress, **chosen)
    return [(int(one.example_idx), int(one.start), int(one.end)) for one in seqlets], float(threshold)


def are_equal(ours: SeqletsAndThresholds, theirs: tuple[list[tuple[int, int, int]], float]) -> bool:
    spans = list(ours.seqlets[SPAN].itertuples(index=False, name=None))
    return spans == theirs[0] and ours.thresholds.sign == theirs[1]


def compare(first: int, trials: int) -> dict[str, Any]:
    n_seqlets, n_sampled, compared, unequal = 0, 0, 0, 0
    failures: Counter[str] = Counter()
    for seed in range(first, first + trials):
        rng = np.random.RandomState(seed)
        X, settings = random_input(rng), random_settings(rng)
        ours = tfmodisco_seqlets(X, return_thresholds=True, **settings)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                theirs = modisco_lite_seqlets(X, settings)
        except (ArithmeticError, IndexError, ValueError) as error:
            failures[str(error).split(".")[0]] += 1
            continue
        compared += 1
        n_sampled += X.size > 1_100_000
        n_seqlets += len(theirs[0])
        if not are_equal(ours, theirs):
            unequal += 1
            print(f"seed {seed}: {len(ours.seqlets)} calls against {len(theirs[0])}, {X.shape} {X.dtype} {settings}")
            print(f"    {ours.thresholds} against {theirs[1]}")
    return {
        "trials": trials,
        "compared": compared,
        "of_these_sampled": n_sampled,
        "unequal_in_span_order_or_sign_threshold": unequal,
        "seqlets": n_seqlets,
        "modisco_lite_fails": dict(failures.most_common()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    found = compare(arguments.first, arguments.trials)
    packages = ("seqlight", "modisco-lite", "numpy", "scipy", "scikit-learn", "torch")
    write_agreement("agreement_modisco", "Are TF-MoDISco seqlets those of modisco-lite 3.0.0?", found, packages)
    print(json.dumps(found))
    if found["unequal_in_span_order_or_sign_threshold"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
