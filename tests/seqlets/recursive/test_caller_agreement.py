"""Against tangermeme itself, where it is installed: more in benchmarks/agreement_seqlets.py."""

from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

from seqlight.seqlets.recursive.caller import recursive_seqlets

try:
    INSTALLED = version("tangermeme")
except PackageNotFoundError:
    INSTALLED = "none"
SPAN = ["example_idx", "start", "end"]

# It compiles for some ten seconds before its first call.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(INSTALLED != "1.6.0", reason="the release to compare with")]


def track(rng, shape):
    X = rng.laplace(size=shape)
    for row in X:
        for start in rng.randint(0, shape[1] - 12, 2):
            row[start : start + 12] += rng.uniform(0, 6)
    return X


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_bins", [10, 1000])
def test_positive_seqlets_equal_tangermemes(dtype, n_bins):
    from tangermeme.seqlet import recursive_seqlets as tangermeme_seqlets

    smallest = 1.0
    for seed in range(40):
        rng = np.random.RandomState(seed)
        X = track(rng, (int(rng.choice([1, 5, 60])), int(rng.choice([30, 300, 1500])))).astype(dtype)
        shortest = int(rng.choice([1, 2, 4]))
        options = {
            "threshold": float(rng.choice([1.0, 0.1, 0.01, 1e-4])),
            "min_seqlet_len": shortest,
            "max_seqlet_len": shortest + int(rng.choice([0, 5, 21])),
            "n_bins": n_bins,
        }
        ours = recursive_seqlets(X, sign="positive", **options).sort_values(SPAN).reset_index(drop=True)
        theirs = tangermeme_seqlets(X, **options).sort_values(SPAN).reset_index(drop=True)
        assert ours[SPAN].equals(theirs[SPAN]), (seed, options)
        p = theirs["p-value"].to_numpy()
        np.testing.assert_allclose(ours["p-value"][p >= 1e-50], p[p >= 1e-50], rtol=1e-9)
        np.testing.assert_allclose(ours["attribution"], theirs["attribution"], rtol=1e-5, atol=1e-5)
        smallest = min(smallest, p.min(initial=1.0))
    assert smallest < 1e-20


def test_the_curve_equals_tangermemes_if_the_control_is_within_the_range_of_the_input():
    from tangermeme.seqlet import recursive_seqlets as tangermeme_seqlets

    rng = np.random.RandomState(0)
    X = track(rng, (80, 400))
    control = rng.laplace(size=(120, 300)).clip(X.min(), X.max())
    ours = recursive_seqlets(X, sign="positive", X_control=control, target_fdr=0.2, return_fdr=True)
    theirs, curve = tangermeme_seqlets(X, X_control=control, target_fdr=0.2, return_fdr=True)
    np.testing.assert_allclose(ours.fdr["threshold"], curve["threshold"], rtol=1e-12)
    for column in ("n_seqlets", "n_control_seqlets"):
        assert ours.fdr[column].tolist() == curve[column].tolist()
    np.testing.assert_allclose(ours.fdr["fdr"], curve["fdr"], rtol=1e-12)
    assert len(theirs) > 50
    assert set(ours.seqlets[SPAN].itertuples(index=False, name=None)) == set(
        theirs[SPAN].itertuples(index=False, name=None)
    )
