import numpy as np
import pytest

from seqlight.native.library import library
from seqlight.seqlets.modisco import subsample
from seqlight.seqlets.modisco.subsample import sample_values, shuffle_front


@pytest.mark.skipif(library() is None, reason="the loops are not compiled")
@pytest.mark.parametrize(
    ("n", "kept"),
    [(2, 1), (3, 1), (64, 63), (65, 1), (1000, 10), (1025, 1024), (300_001, 1000), (1_049_400, subsample.MOST_KEPT)],
)
def test_front_equals_that_of_numpys_permutation(n, kept):
    expected = np.random.RandomState(1234).permutation(n)[:kept]
    np.testing.assert_array_equal(np.sort(shuffle_front(n, kept)), np.sort(expected))


@pytest.mark.parametrize("compiled", [True, False])
def test_sample_equals_numpys_choice(compiled, monkeypatch):
    monkeypatch.setattr(subsample, "MOST_KEPT", 100)
    if not compiled:
        monkeypatch.setattr(subsample, "library", lambda: None)
    values = np.random.RandomState(0).normal(size=5000)
    expected = np.random.RandomState(1234).choice(values, size=100, replace=False)
    np.testing.assert_array_equal(sample_values(values), np.sort(expected))
    np.testing.assert_array_equal(sample_values(values[:100]), np.sort(values[:100]))
