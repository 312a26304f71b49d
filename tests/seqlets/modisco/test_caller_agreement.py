"""Against modisco-lite itself, where it is installed: more in benchmarks/agreement_modisco.py."""

import warnings
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

from seqlight.seqlets.modisco.caller import tfmodisco_seqlets

extraction = pytest.importorskip("modiscolite.extract_seqlets")
try:
    INSTALLED = version("modisco-lite")
except PackageNotFoundError:  # the package `modisco` has the same folder
    INSTALLED = "none"


def modisco_lite(X, window, flank):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        seqlets, threshold = extraction.extract_seqlets(
            X,
            window_size=window,
            flank=flank,
            suppress=int(0.5 * window) + flank,
            target_fdr=0.2,
            min_passing_windows_frac=0.03,
            max_passing_windows_frac=0.2,
            weak_threshold_for_counting_sign=0.8,
        )
    return [(int(one.example_idx), int(one.start), int(one.end)) for one in seqlets], threshold


@pytest.mark.skipif(INSTALLED != "3.0.0", reason="another version has the same package name")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("window", "flank"), [(21, 10), (11, 10), (20, 3)])
def test_equals_modisco_lite(seed, window, flank):
    rng = np.random.RandomState(seed)
    X = rng.laplace(size=(30, 600)).round(1 + seed % 4).astype(["float32", "float64"][seed % 2])
    for row in X:
        start = rng.randint(0, 580)
        row[start : start + 12] += rng.uniform(-4, 5)
    found = tfmodisco_seqlets(X, window_size=window, flank=flank, return_thresholds=True)
    spans = list(found.seqlets[["example_idx", "start", "end"]].itertuples(index=False, name=None))
    assert len(spans) > 10
    assert (spans, found.thresholds.sign) == modisco_lite(X, window, flank)
