import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from seqlight.native.library import library
from seqlight.seqlets.modisco import isotonic_regression
from seqlight.seqlets.modisco.isotonic_regression import isotonic_fit, join_equal_points, share_of_values

loops = pytest.mark.parametrize(
    "compiled", [pytest.param(True, marks=pytest.mark.skipif(library() is None, reason="no loops")), False]
)
weighted = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.floats(0.01, 50)), min_size=1, max_size=60)


@pytest.fixture(autouse=True)
def _with_or_without_loops(request, monkeypatch):
    if not request.node.callspec.params["compiled"]:
        monkeypatch.setattr(isotonic_regression, "library", lambda: None)


@loops
@pytest.mark.parametrize("n", [1, 2, 17, 3000])
def test_fit_has_the_bits_of_scipy(compiled, n):
    rng = np.random.RandomState(n)
    for _ in range(20):
        y = (rng.uniform(size=n) < np.linspace(0.1, 0.9, n)) * 1.0
        weight = np.where(y > 0, 1.0, rng.uniform(0.1, 200))
        np.testing.assert_array_equal(isotonic_fit(y, weight), optimize.isotonic_regression(y, weights=weight).x)
        falling = optimize.isotonic_regression(y, weights=weight, increasing=False).x
        np.testing.assert_array_equal(isotonic_fit(y[::-1], weight[::-1])[::-1], falling)


@loops
@settings(max_examples=100, suppress_health_check=())
@given(points=weighted)
def test_fit_of_any_points_has_the_bits_of_scipy(compiled, points):
    y, weight = np.array(points).T.copy()
    before = y.copy()
    np.testing.assert_array_equal(isotonic_fit(y, weight), optimize.isotonic_regression(y, weights=weight).x)
    np.testing.assert_array_equal(y, before)


@loops
def test_numbers_close_to_the_first_of_a_group_join_it(compiled):
    x = np.array([0.0, 0.9e-15, 1.8e-15, 1.0, 1.0, 2.0])
    points = join_equal_points(x, np.array([0, 1, 1, 0, 1, 0], dtype=np.uint8), 3.0)
    assert points.x.tolist() == [0.0, 1.8e-15, 1.0, 2.0]
    assert points.y.tolist() == [0.25, 1.0, 0.25, 0.0]
    assert points.weight.tolist() == [4.0, 1.0, 4.0, 3.0]


@loops
def test_share_can_fall(compiled):
    values, draws = np.array([-9.0, -5.0, -1.0]), np.array([-3.0, -2.0, -0.5])
    share = share_of_values(values, draws, increasing=False)
    assert share.at_values.tolist() == [1.0, 1.0, pytest.approx(1 / 3)]
    assert share.lowest == 0.0
    mirrored = share_of_values(-values[::-1], -draws[::-1], increasing=True)
    assert mirrored.at_values.tolist() == share.at_values[::-1].tolist()


@loops
def test_without_draws_all_are_values(compiled):
    share = share_of_values(np.array([1.0, 2.0]), np.empty(0), increasing=True)
    assert share.lowest == 1.0
    assert share.at_values.tolist() == [1.0, 1.0]
