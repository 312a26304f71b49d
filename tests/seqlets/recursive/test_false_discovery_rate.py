"""Thresholds chosen by a control, and the rates that they promise."""

import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from attribution_tracks import any_track, merge_without_overlaps, planted_track, rows_of, without_loops
from seqlight.errors import SeqlightWarning
from seqlight.seqlets.recursive import null_distribution, span_calls
from seqlight.seqlets.recursive.caller import recursive_seqlets

planted = partial(planted_track, n_high=3)
tracks = partial(any_track, st.integers(1, 24), [st.integers(-3, 3), st.floats(-4, 4, width=32)])
numpy_seqlets = without_loops(recursive_seqlets, null_distribution, span_calls)


def noise(shape, seed):
    return np.random.RandomState(seed).laplace(size=shape).astype(np.float32)


def test_a_control_chooses_the_threshold_of_each_sign():
    X, control = planted((60, 300)), noise((90, 200), 7)
    found = recursive_seqlets(X, X_control=control, target_fdr=0.3, return_fdr=True)
    assert list(found.fdr.columns) == ["sign", "threshold", "n_seqlets", "n_control_seqlets", "fdr"]
    assert len(found.fdr) == 2 * 117
    tables = []
    for sign in ("positive", "negative"):
        curve = found.fdr[found.fdr["sign"] == sign]
        assert curve["threshold"].to_numpy() == pytest.approx(10.0 ** -np.arange(1, 30.25, 0.25))
        rate = (curve["n_control_seqlets"] + 1) * (X.size / control.size) / curve["n_seqlets"]
        seen = curve["n_seqlets"] > 0
        np.testing.assert_allclose(curve["fdr"][seen], rate[seen], rtol=1e-14)
        assert curve["fdr"][~seen].isna().all()
        threshold = curve["threshold"][curve["fdr"] <= 0.3].max()
        tables.append(recursive_seqlets(X, threshold=threshold, sign=sign))
        for row in curve.iloc[[0, 5, 20, 60]].itertuples():
            assert row.n_seqlets == len(recursive_seqlets(X, threshold=row.threshold, sign=sign))
        # At the threshold itself, calls that are dropped in favour of the other sign do not count.
        chosen = curve["n_seqlets"][curve["threshold"] == threshold].item()
        assert chosen == (found.seqlets["attribution"] * (1 if sign == "positive" else -1) > 0).sum()
    assert rows_of(found.seqlets) == merge_without_overlaps(tables)
    assert len(found.seqlets) < sum(map(len, tables))
    assert len(tables[0]) > len(tables[1]) > 0
    plain = recursive_seqlets(X, threshold=1e-9, X_control=control, target_fdr=0.3)
    assert_frame_equal(plain, found.seqlets, check_exact=True)


def test_a_control_is_scored_against_the_null_of_the_input():
    X = planted((40, 300))
    itself = recursive_seqlets(X, X_control=X.astype("float64"), target_fdr=1e9, return_fdr=True).fdr
    assert (itself["n_seqlets"] == itself["n_control_seqlets"]).all()
    assert itself["n_seqlets"].max() > 100
    # Ten times as large, the control lies mostly in the end bins, where every span is rare.
    wide = recursive_seqlets(X, X_control=10 * X, target_fdr=1e9, return_fdr=True).fdr
    assert (wide["n_control_seqlets"] > itself["n_control_seqlets"]).any()
    huge = recursive_seqlets(X, X_control=np.full((1, 50), 1e300), target_fdr=1e9, return_fdr=True).fdr
    assert huge["n_control_seqlets"][0] == 2
    short = recursive_seqlets(X, X_control=X[:, :3], target_fdr=1e9, return_fdr=True).fdr
    assert (short["n_control_seqlets"] == 0).all()


@pytest.mark.parametrize("call", [recursive_seqlets, numpy_seqlets])
@pytest.mark.parametrize("sign", ["positive", "negative"])
def test_control_values_beyond_the_input_are_more_extreme(call, sign):
    """In the highest bin of the input they would be only as rare as its highest value."""
    X, control = noise((20, 100), 1), noise((5, 60), 2).clip(-3, 3)
    control[3, 30] = (100 if sign == "positive" else -100) * np.abs(X).max()
    curve = call(X, X_control=control, target_fdr=1e9, sign=sign, return_fdr=True).fdr
    assert (curve["n_control_seqlets"] >= 1).all()
    assert curve["n_seqlets"].iloc[-1] == 0


@pytest.mark.parametrize(
    "draw", [lambda rng, shape: rng.laplace(size=shape), lambda rng, shape: rng.standard_t(2, shape)]
)
@pytest.mark.parametrize("n_controls", [1, 5])
def test_noise_has_calls_no_more_often_than_asked_for(draw, n_controls):
    """If all calls are false, the rate is how often there are any: here at most one time in four."""
    n_with_calls, rng = 0, np.random.RandomState(0)
    options = {"max_seqlet_len": 8, "n_bins": 300, "target_fdr": 0.25, "sign": "positive"}
    for _ in range(200):
        X, control = draw(rng, (20, 100)), draw(rng, (20 * n_controls, 100))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeqlightWarning)
            n_with_calls += len(recursive_seqlets(X, X_control=control, **options)) > 0
    # Within two and a half standard deviations.
    assert n_with_calls <= 0.25 * 200 + 2.5 * np.sqrt(200 * 0.25 * 0.75)


def test_a_sign_that_never_reaches_the_rate_has_no_seqlets_and_a_warning():
    X, control = noise((30, 200), 1), noise((30, 200), 2)
    with pytest.warns(SeqlightWarning, match="0.001 for negative seqlets") as caught:
        assert recursive_seqlets(X, X_control=control, target_fdr=1e-3, sign="negative").empty
    assert caught[0].filename == __file__
    with pytest.warns(SeqlightWarning, match="nothing is called"):
        found = recursive_seqlets(np.zeros((3, 40)), X_control=control, return_fdr=True)
    assert found.seqlets.shape == (0, 5)
    assert found.fdr["fdr"].isna().all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recursive_seqlets(planted(), X_control=noise((60, 200), 3), target_fdr=0.9, sign="positive")


@pytest.mark.reliability(
    "seqlets",
    "both signs against a control, in any track",
    "as many seqlets as the estimated rate counts, none too many",
)
@settings(max_examples=40, deadline=None)
@given(tracks(), tracks(), st.sampled_from([0.3, 1.0, 3.0]))
def test_the_rate_is_of_what_is_returned(X, control, target_fdr):
    options = {"min_seqlet_len": 2, "n_bins": 10, "X_control": control, "target_fdr": target_fdr, "return_fdr": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeqlightWarning)
        seqlets, fdr = recursive_seqlets(X, **options)
    scale = X.size / control.size
    for sign, side in (("positive", 1), ("negative", -1)):
        curve = fdr[fdr["sign"] == sign]
        n, n_control = curve["n_seqlets"].to_numpy(), curve["n_control_seqlets"].to_numpy()
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(curve["fdr"].fillna(np.inf), (n_control + 1) * scale / n)
        passing = curve[curve["fdr"] <= target_fdr]
        n_returned = (side * seqlets["attribution"] > 0).sum()
        assert n_returned == (passing["n_seqlets"].iloc[0] if len(passing) else 0)


@pytest.mark.parametrize("call", [recursive_seqlets, numpy_seqlets])
@pytest.mark.parametrize("sign", ["both", "negative"])
def test_a_rate_counts_only_calls_of_its_sign(call, sign):
    X, control = planted((9, 120)) + 20, planted((9, 120), seed=5) + 20
    with pytest.warns(SeqlightWarning, match="for negative seqlets .nothing is called"):
        found = call(X, X_control=control, target_fdr=2.0, sign=sign, return_fdr=True)
    assert (found.fdr[found.fdr["sign"] == "negative"][["n_seqlets", "n_control_seqlets"]] == 0).all(axis=None)
    assert (found.seqlets["attribution"] > 0).all()
    assert len(found.seqlets) > 10 or sign == "negative"
