import functools
import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy import optimize

from attribution_tracks import (
    CONVERSIONS,
    INVALID_TRACKS,
    TRACKS_WITHOUT_SEQLETS,
    any_track,
    assert_any_container_gives_the_same,
    assert_threads_do_not_matter,
    planted_track,
    without_loops,
)
from seqlight.errors import InputError
from seqlight.native.library import library
from seqlight.seqlets.genome_coordinates import to_genome
from seqlight.seqlets.modisco import isotonic_regression, rank_statistics, subsample, windows
from seqlight.seqlets.modisco.caller import tfmodisco_seqlets
from seqlight.seqlets.modisco.thresholds import NOTHING_PASSES

COLUMNS = ["example_idx", "start", "end", "attribution"]
DTYPES = ["int64", "int64", "int64", "float64"]
SPAN = COLUMNS[:3]
needs_loops = pytest.mark.skipif(library() is None, reason="the loops are not compiled")


def oracle(
    X,
    window_size=21,
    flank=10,
    target_fdr=0.2,
    min_passing_frac=0.03,
    max_passing_frac=0.2,
    weak_threshold_for_counting_sign=0.8,
):
    """Return spans in order, and the positive, negative and sign thresholds, step by step and slowly.

    None if TF-MoDISco has no answer: if no window, or no draw from the null, has one of the signs, or if numbers are
    so close to each other that no float between them can be the edge of a bin.
    """
    running = np.concatenate([np.zeros((len(X), 1)), np.cumsum(X, axis=1)], axis=1)
    sums = running[:, window_size:] - running[:, :-window_size]
    every = sums.ravel()
    draws = oracle_draws(every)
    if draws is None:
        return None
    values = every
    if len(values) > subsample.MOST_KEPT:
        values = np.random.RandomState(1234).choice(values, size=subsample.MOST_KEPT, replace=False)
    positive = oracle_side(np.sort(values[values >= 0]), draws[draws >= 0], target_fdr, 1)
    negative = oracle_side(np.sort(values[values < 0])[::-1], draws[draws < 0], target_fdr, -1)
    if positive is None or negative is None:
        return None
    passing = ((values >= positive) | (values <= negative)).mean()
    if passing < min_passing_frac:
        positive = np.percentile(np.abs(values), 100 * (1 - min_passing_frac))
        negative = -positive
    elif passing > max_passing_frac:
        positive = np.percentile(np.abs(values), 100 * (1 - max_passing_frac))
        negative = -positive
    sizes = np.sort(np.abs(every))
    below = min(np.searchsorted(sizes, positive), np.searchsorted(sizes, -negative)) / len(sizes)
    sign = sizes[int(min(below - 0.0001, weak_threshold_for_counting_sign) * len(sizes))]
    calls = []
    for row in range(len(sums)):
        left = {
            k: abs(v)
            for k, v in enumerate(sums[row].tolist())
            if (v >= positive or v <= negative) and flank <= k < sums.shape[1] - flank
        }
        while left:
            best = max(left, key=lambda k: (left[k], -k))
            calls.append((row, best - flank, best + window_size + flank))
            left = {k: v for k, v in left.items() if abs(k - best) > window_size // 2 + flank}
    return calls, (positive, negative, sign)


def oracle_draws(values):
    fullest = oracle_bin(values)
    inner = fullest and oracle_bin(values[(fullest[0] < values) & (values < fullest[1])])
    if not inner:
        return None
    mode = sum(inner) / 2
    upper, lower = values[values >= mode], values[values <= mode]
    if not len(upper) or not len(lower):
        return None
    percents = np.arange(5, 100, 5)
    with np.errstate(divide="ignore"):
        up = (-np.log(1 - percents / 100) / (np.percentile(upper, percents) - mode)).max()
        down = (-np.log(1 - percents / 100) / np.abs(np.percentile(lower, 100 - percents) - mode)).max()
    part = len(upper) / (len(upper) + len(lower))
    return np.array([-drop / up + mode if side < part else mode + drop / down for side, drop in oracle_uniforms()])


@functools.cache
def oracle_uniforms():
    """Return the side of each draw, and the logarithm of its height: always the same."""
    pairs, stream = [], np.random.RandomState(1234)
    for _ in range(10000):
        side, height = stream.uniform(), stream.uniform()
        pairs.append((side, float(np.log(1 - np.array([height]))[0])))
    return pairs


def oracle_bin(values):
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    if low < high and (np.diff(np.linspace(low, high, 1001)) <= 0).any():
        return None
    counts, edges = np.histogram(values, bins=1000)
    at = np.argmax(counts)
    return edges[at], edges[at + 1]


def oracle_side(values, draws, target_fdr, sign):
    if not len(values) or not len(draws):
        return None
    weight = len(values) / len(draws)
    points = sorted([(x, 1.0, 1.0) for x in values.tolist()] + [(x, 0.0, weight) for x in draws.tolist()])
    groups = []
    for x, y, w in points:
        if groups and x - groups[-1][0] < 1e-15:
            groups[-1][1] += y
            groups[-1][2] += w
        else:
            groups.append([x, y, w])
    x, ones, weights = np.array(groups).T
    fit = optimize.isotonic_regression(ones / weights, weights=weights, increasing=sign > 0).x
    keep = [i in (0, len(x) - 1) or not fit[i - 1] == fit[i] == fit[i + 1] for i in range(len(x))]
    share = np.interp(values, x[keep], fit[keep])
    lowest = fit[0] if sign > 0 else fit[-1]
    part = 0.95 if lowest == 1 else max(0.95, min(1.0, -1 / (1 - 1 / max(lowest, 1e-7))))
    for value, p in zip(values[:-1], share, strict=False):
        if min(max(1 + part * (1 - 1 / max(p, 1e-7)), 0), 1) >= 1 - target_fdr:
            return value
    return values[-1]


planted = partial(planted_track, n_high=2)
# Few distinct values make ties, and small ones are joined in the fit.
VALUES = [st.integers(-3, 3), st.floats(-4, 4, width=32), st.integers(-3, 3).map((1e-15).__mul__)]
tracks = partial(any_track, st.integers(8, 40), VALUES)
numpy_seqlets = without_loops(tfmodisco_seqlets, windows, rank_statistics, subsample, isotonic_regression)


def rows_of(table):
    return list(table[SPAN].itertuples(index=False, name=None))


options = st.fixed_dictionaries(
    {
        "window_size": st.integers(1, 7),
        "flank": st.integers(0, 3),
        "target_fdr": st.sampled_from([0.01, 0.2, 0.5]),
        "min_passing_frac": st.sampled_from([0.0, 0.03, 0.2]),
        "max_passing_frac": st.sampled_from([0.2, 0.5, 1.0]),
        "weak_threshold_for_counting_sign": st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    }
)


def assert_equals_oracle(found, expected):
    assert rows_of(found.seqlets) == expected[0]
    assert tuple(found.thresholds) == expected[1]


@settings(max_examples=100)
@given(tracks(), options)
def test_equals_the_steps_of_the_oracle(X, chosen):
    found = tfmodisco_seqlets(X, return_thresholds=True, **chosen)
    by_numpy = numpy_seqlets(X, return_thresholds=True, **chosen)
    assert_frame_equal(by_numpy.seqlets, found.seqlets, check_exact=True)
    assert by_numpy.thresholds == found.thresholds
    expected = oracle(X, **chosen)
    if expected is not None:
        assert_equals_oracle(found, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"window_size": 11, "flank": 3},
        {"window_size": 20, "min_passing_frac": 0.0, "max_passing_frac": 1.0},
        {"target_fdr": 0.01, "min_passing_frac": 0.001, "weak_threshold_for_counting_sign": 0.1},
        {"flank": 0, "window_size": 1},
    ],
)
def test_larger_inputs_equal_the_steps_of_the_oracle(dtype, chosen):
    X = planted(dtype=dtype)
    found = tfmodisco_seqlets(X, return_thresholds=True, **chosen)
    assert len(found.seqlets) > 1
    assert_equals_oracle(found, oracle(X, **chosen))


def assert_samples_like_oracle(X):
    assert X.shape[0] * (X.shape[1] - 20) > subsample.MOST_KEPT
    chosen = {"target_fdr": 0.1, "min_passing_frac": 0.0}
    found = tfmodisco_seqlets(X, return_thresholds=True, **chosen)
    assert_equals_oracle(found, oracle(X, **chosen))
    by_numpy = numpy_seqlets(X, return_thresholds=True, **chosen)
    assert_frame_equal(by_numpy.seqlets, found.seqlets, check_exact=True)
    assert by_numpy.thresholds == found.thresholds
    return found.thresholds


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", [4, 5])
def test_many_windows_are_sampled_like_the_oracle(seed, dtype, monkeypatch):
    assert subsample.MOST_KEPT == 1_000_000
    X = planted((40, 500), seed, dtype)
    of_all = tfmodisco_seqlets(X, target_fdr=0.1, min_passing_frac=0.0, return_thresholds=True).thresholds
    monkeypatch.setattr(subsample, "MOST_KEPT", 5000)
    assert assert_samples_like_oracle(X) != of_all


@pytest.mark.slow
def test_more_than_a_million_windows_are_sampled_like_the_oracle():
    assert_samples_like_oracle(planted((530, 2000), seed=4))


@pytest.mark.slow
def test_more_windows_than_a_float32_can_count():
    X = np.tile(planted((100, 2114)), (81, 1))
    found = tfmodisco_seqlets(X, return_thresholds=True)
    assert 81 * 100 * (2114 - 20) > 2**24
    assert_equals_oracle(found, oracle(X))


@settings(max_examples=60)
@given(tracks(), options)
def test_windows_keep_their_distance_and_stay_inside(X, chosen):
    table = tfmodisco_seqlets(X, **chosen)
    assert list(table.columns) == COLUMNS
    assert [str(kind) for kind in table.dtypes] == DTYPES
    window, flank = chosen["window_size"], chosen["flank"]
    assert (table["end"] - table["start"] == window + 2 * flank).all()
    assert (table["start"] >= 0).all()
    assert (table["end"] <= X.shape[1]).all()
    assert table["example_idx"].is_monotonic_increasing
    for example, calls in table.groupby("example_idx"):
        starts = np.sort(calls["start"])
        assert (np.diff(starts) > window // 2 + flank).all()
        # By magnitude, within the rounding of running sums.
        size = calls["attribution"].abs().to_numpy()
        assert (np.diff(size) <= 1e-4 * np.abs(X[example]).sum()).all()
    cores = [X[i, s + flank : e - flank].astype(np.float64).sum() for i, s, e in rows_of(table)]
    np.testing.assert_allclose(table["attribution"], cores, rtol=1e-12, atol=1e-12)


@settings(max_examples=40)
@given(tracks(), options, st.sampled_from([2.0**-3, 2.0**10]))
def test_scale_changes_no_call(X, chosen, scale):
    # The fit joins numbers by their distance, whatever their scale, and an empty bin has its middle at 0.0005: so
    # only for tracks without ties.
    X = X + np.random.RandomState(0).laplace(size=X.shape)
    found, scaled = tfmodisco_seqlets(X, **chosen), tfmodisco_seqlets(X * scale, **chosen)
    assert rows_of(scaled) == rows_of(found)


def test_table_equals_that_of_the_tutorial():
    X = planted((1, 2000))
    table = tfmodisco_seqlets(torch.from_numpy(X))
    assert table.shape[1] == 4
    assert list(table.columns) == COLUMNS
    assert [str(kind) for kind in table.dtypes] == DTYPES
    assert isinstance(table.index, pd.RangeIndex)
    assert set(table["end"] - table["start"]) == {41}
    assert table["attribution"].abs().is_monotonic_decreasing
    narrow = tfmodisco_seqlets(torch.from_numpy(X), window_size=11)
    assert set(narrow["end"] - narrow["start"]) == {31}
    assert len(narrow) > len(table)


def test_seqlets_of_both_signs_are_in_one_table():
    X = np.random.RandomState(1).normal(size=(2, 400)).astype(np.float32)
    X[0, 100:121] += 9
    X[0, 300:321] -= 12
    X[1, 200:221] += 6
    table = tfmodisco_seqlets(X)
    first, second = (table[table["example_idx"] == i].reset_index(drop=True) for i in (0, 1))
    assert first.loc[[0, 1], "start"].tolist() == [290, 90]
    assert first.loc[0, "attribution"] == pytest.approx(X[0, 300:321].sum(dtype=np.float64), rel=1e-12)
    assert first.loc[1, "attribution"] == pytest.approx(X[0, 100:121].sum(dtype=np.float64), rel=1e-12)
    assert second.loc[0, "start"] == 190


def test_without_flanks_windows_at_both_ends_are_called():
    X = np.random.RandomState(2).normal(size=(2, 300))
    X[0, :21] += 9
    X[1, -21:] -= 9
    table = tfmodisco_seqlets(X, flank=0)
    assert {(0, 0, 21), (1, 279, 300)} <= set(rows_of(table))
    flanked = tfmodisco_seqlets(X, flank=1)
    assert flanked["start"].min() >= 0
    assert flanked["end"].max() <= 300


@pytest.mark.parametrize("sign", [1, -1])
def test_a_track_of_one_sign_is_called_on_that_side(sign):
    X = np.abs(np.random.RandomState(3).laplace(size=(10, 400)))
    X[4, 200:221] += 6
    found = tfmodisco_seqlets(sign * X, return_thresholds=True)
    assert (4, 190, 231) in rows_of(found.seqlets)
    assert (found.seqlets["attribution"] * sign > 0).all()
    side, other = (found.thresholds.positive, found.thresholds.negative)[::sign]
    assert np.isfinite(side) or np.isfinite(other)


def test_a_sign_without_windows_is_not_called():
    X = np.abs(planted()) + 1
    found = tfmodisco_seqlets(X, target_fdr=0.3, min_passing_frac=0.0, max_passing_frac=1.0, return_thresholds=True)
    assert found.thresholds.negative == -math.inf
    mirrored = tfmodisco_seqlets(-X, target_fdr=0.3, min_passing_frac=0.0, max_passing_frac=1.0, return_thresholds=True)
    assert mirrored.thresholds.positive == math.inf


def test_all_windows_of_a_sign_that_the_null_never_reaches_pass():
    X = np.random.RandomState(5).normal(3, 0.1, size=(10, 400))
    X[6, 200:221] = -1
    found = tfmodisco_seqlets(X, min_passing_frac=0.0, max_passing_frac=1.0, return_thresholds=True)
    assert -3 < found.thresholds.negative < 0
    assert (6, 190, 231) in rows_of(found.seqlets)


@needs_loops
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_loops_and_numpy_give_the_same_bits(dtype):
    X = planted((60, 500), dtype=dtype)
    for chosen in ({}, {"window_size": 3, "flank": 0, "target_fdr": 0.5, "max_passing_frac": 0.9}):
        found = tfmodisco_seqlets(X, return_thresholds=True, **chosen)
        by_numpy = numpy_seqlets(X, return_thresholds=True, **chosen)
        assert_frame_equal(by_numpy.seqlets, found.seqlets, check_exact=True)
        assert by_numpy.thresholds == found.thresholds


@pytest.mark.parametrize("convert", CONVERSIONS)
def test_any_container_and_real_type(convert):
    assert_any_container_gives_the_same(tfmodisco_seqlets, planted().round(), convert)


def test_loci_only_add_coordinates():
    X = planted((4, 200))
    loci = pd.DataFrame({"chrom": list("abba"), "start": [5, 900, 300, 0], "strand": list("+-+-")})
    loci["end"] = loci["start"] + 200
    plain = tfmodisco_seqlets(X)
    assert set(plain["example_idx"]) == {0, 1, 2, 3}
    assert_frame_equal(tfmodisco_seqlets(X, loci=loci), to_genome(plain, loci), check_exact=True)
    with_thresholds = tfmodisco_seqlets(X, loci=loci, return_thresholds=True)
    assert_frame_equal(with_thresholds.seqlets, to_genome(plain, loci), check_exact=True)
    with pytest.raises(InputError, match="4 loci for 3"):
        tfmodisco_seqlets(X[:3], loci=loci)


@pytest.mark.gpu
def test_on_a_gpu(accelerator):
    X = torch.from_numpy(planted())
    assert_frame_equal(tfmodisco_seqlets(X.to(accelerator)), tfmodisco_seqlets(X), check_exact=True)


def test_threads_do_not_matter():
    assert_threads_do_not_matter(tfmodisco_seqlets, planted((300, 600)))


@pytest.mark.parametrize(
    ("X", "chosen"),
    [
        *((X, {}) for X in TRACKS_WITHOUT_SEQLETS),
        (np.full((3, 50), -0.1, dtype=np.float32), {"flank": 0}),
        (np.tile([1.0, -1.0], (3, 25)), {"window_size": 2}),
        (planted((4, 30))[:, :20], {}),
    ],
)
def test_nothing_to_call_gives_an_empty_table_of_the_same_types(X, chosen):
    found = tfmodisco_seqlets(X, return_thresholds=True, **chosen)
    assert found.thresholds == NOTHING_PASSES
    assert found.seqlets.shape == (0, 4)
    assert list(found.seqlets.columns) == COLUMNS
    assert [str(kind) for kind in found.seqlets.dtypes] == DTYPES


def test_examples_too_short_for_flanks_have_no_seqlets():
    table = tfmodisco_seqlets(planted((30, 40)))
    assert table.shape == (0, 4)
    assert [str(kind) for kind in table.dtypes] == DTYPES


@pytest.mark.parametrize(("X", "message"), INVALID_TRACKS)
def test_invalid_tracks(X, message):
    with pytest.raises(InputError, match=message):
        tfmodisco_seqlets(X)


@pytest.mark.parametrize(
    ("X", "chosen", "message"),
    [
        (np.array([[-3e38, 3e38, 3e38, 3e38] * 10], dtype=np.float32), {}, "divide them"),
        (np.array([[-1e308, -1e308, 3.0, 1e308, 1e308] * 10]), {"window_size": 1}, "divide them"),
        (planted(), {"window_size": 0}, "window_size is 0"),
        (planted(), {"window_size": 7.5}, "window_size is 7.5"),
        (planted(), {"flank": -1}, "flank is -1"),
        (planted(), {"target_fdr": 1.1}, "`target_fdr` is 1.1"),
        (planted(), {"target_fdr": math.nan}, "`target_fdr` is nan"),
        (planted(), {"min_passing_frac": -0.1}, "`min_passing_frac` is -0.1"),
        (planted(), {"min_passing_frac": 0.3}, "above `max_passing_frac`, 0.2"),
        (planted(), {"weak_threshold_for_counting_sign": "0.8"}, "`weak_threshold_for_counting_sign` is '0.8'"),
    ],
)
def test_invalid_arguments(X, chosen, message):
    with pytest.raises(InputError, match=message):
        tfmodisco_seqlets(X, **chosen)
