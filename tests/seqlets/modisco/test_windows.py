import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.native.library import library
from seqlight.seqlets.modisco import windows
from seqlight.seqlets.modisco.windows import window_peaks, window_sums

loops = pytest.mark.parametrize(
    "compiled", [pytest.param(True, marks=pytest.mark.skipif(library() is None, reason="no loops")), False]
)


def with_or_without(compiled, patch):
    if not compiled:
        patch.setattr(windows, "library", lambda: None)


def peaks_by_definition(sums, high, low, margin, exclusion):
    found = []
    for row, values in enumerate(sums.tolist()):
        passing = [k for k in range(margin, len(values) - margin) if values[k] >= high or values[k] <= low]
        taken = []
        for k in sorted(passing, key=lambda k, values=values: (-abs(values[k]), k)):
            if all(abs(k - other) > exclusion for other in taken):
                taken.append(k)
        found += [[row, k] for k in taken]
    return found


@loops
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("window", [1, 2, 21, 100])
def test_sums_are_differences_of_the_running_sum_of_numpy(compiled, dtype, window, monkeypatch):
    with_or_without(compiled, monkeypatch)
    X = np.random.RandomState(0).laplace(size=(9, 100)).astype(dtype)
    running = np.concatenate([np.zeros((9, 1)), np.cumsum(X, axis=1)], axis=1)
    found = window_sums(X, window)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, running[:, window:] - running[:, :-window])


@loops
@settings(max_examples=150)
@given(
    values=st.lists(st.lists(st.integers(-4, 4), min_size=25, max_size=25), min_size=1, max_size=3),
    high=st.sampled_from([0.0, 2.0, np.inf]),
    low=st.sampled_from([-0.0, -2.0, -np.inf]),
    margin=st.integers(0, 14),
    exclusion=st.integers(0, 26),
)
def test_peaks_are_those_of_the_definition(compiled, values, high, low, margin, exclusion):
    sums = np.array(values, dtype=np.float64)
    with pytest.MonkeyPatch.context() as patch:
        with_or_without(compiled, patch)
        found = window_peaks(sums, high, low, margin, exclusion)
    assert found.dtype == np.int64
    assert found.tolist() == peaks_by_definition(sums, high, low, margin, exclusion)


@loops
@pytest.mark.parametrize("order", [1, -1])
def test_long_rows_of_rising_or_falling_sums(compiled, order, monkeypatch):
    with_or_without(compiled, monkeypatch)
    sums = np.arange(1.0, 3001.0)[None, ::order].copy()
    found = window_peaks(sums, 1.0, -1.0, margin=0, exclusion=0)
    assert found[:, 1].tolist() == list(range(3000))[::-order]
