"""Mean Jacobians of sparsemax and entmax: they add up, ties and masks included, and are those of many points."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.attribution.rules.simplex_paths import mean_vjp, threshold

POWERS = pytest.mark.parametrize("power", [1, 2])


def weights(x, power):
    return (x - threshold(x, power)).clamp_min(0) ** power


def by_bisection(x, power):
    low, high = x.amax(1, keepdim=True) - 1, x.amax(1, keepdim=True)
    for _ in range(70):
        middle = (low + high) / 2
        above = ((x - middle).clamp_min(0) ** power).sum(1, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return low


# Whole numbers and halves, of which many are equal, and cross the threshold at one place.
NUMBERS = st.one_of(st.floats(-3, 3, width=32), st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, -0.5]))


@POWERS
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_rows_add_up(power, data):
    n = data.draw(st.integers(1, 6))
    row = st.lists(NUMBERS, min_size=n, max_size=n)
    x0, dx, grad = (torch.tensor(data.draw(row), dtype=torch.float64)[None] for _ in range(3))
    x0, dx = (torch.nn.functional.pad(one, (0, 1), value=value) for one, value in ((x0, -torch.inf), (dx, 0)))  # a mask
    grad = torch.nn.functional.pad(grad, (0, 1), value=1.0)
    for result, g in ((weights, grad), (threshold, grad[:, :1])):
        found = mean_vjp(x0, dx, g, power)
        wanted = ((result(x0 + dx, power) - result(x0, power)) * g).sum(1)
        torch.testing.assert_close((found * dx).sum(1), wanted, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(threshold(x0, power), by_bisection(x0, power), rtol=1e-12, atol=1e-12)


def many(seed, *shape, scale=1.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


@POWERS
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_long_rows_add_up(power, scale):
    x0, dx, grad = many(0, 8, 300, scale=scale), many(1, 8, 300, scale=scale), many(2, 8, 300)
    found = mean_vjp(x0, dx, grad, power)
    wanted = ((weights(x0 + dx, power) - weights(x0, power)) * grad).sum(1)
    torch.testing.assert_close((found * dx).sum(1), wanted, rtol=1e-11, atol=1e-11 * scale)


@POWERS
@pytest.mark.parametrize("thresholds", [True, False])
def test_it_is_the_mean_of_many_points(power, thresholds):
    x0, dx, grad = many(0, 6, 7, scale=0.7), many(1, 6, 7), many(2, 6, 1 if thresholds else 7)
    total, points = torch.zeros_like(x0), 2000
    for k in range(points):
        x = x0 + dx * (k + 0.5) / points
        above = (x - threshold(x, power)).clamp_min(0)
        share = above.sign() if power == 1 else above  # in which proportion numbers move the threshold
        share = share / share.sum(1, keepdim=True)
        slope = above.sign() if power == 1 else 2 * above
        total += (
            grad * share
            if thresholds
            else slope * (grad - (grad * slope).sum(1, keepdim=True) / slope.sum(1, keepdim=True))
        )
    torch.testing.assert_close(mean_vjp(x0, dx, grad, power), total / points, rtol=1e-2, atol=1e-3)


@POWERS
def test_pieces_of_rows_change_nothing(power, monkeypatch):
    x0, dx, grad = many(0, 9, 5), many(1, 9, 5), many(2, 9, 5)
    found = mean_vjp(x0, dx, grad, power)
    monkeypatch.setattr("seqlight.attribution.rules.simplex_paths.PIECE", 12)
    torch.testing.assert_close(mean_vjp(x0, dx, grad, power), found, rtol=1e-12, atol=1e-14)
