import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.datasets.augmentation import random_flips, random_shifts

M = 2**64


def mixed(word):
    word = (word + 0x9E3779B97F4A7C15) % M
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % M
    word = (word ^ word >> 27) * 0x94D049BB133111EB % M
    return word ^ word >> 31


def literal(seed, stream, epoch, row):
    word = 0
    for value in (seed, stream, epoch, row):
        word = mixed((word + value) % M)
    return word


numbers = st.integers(0, 2**63 - 1)


@given(seed=numbers, epoch=numbers, row=numbers, jitter=st.integers(0, 10**6))
def test_a_row_is_its_own_function(seed, epoch, row, jitter):
    epochs, rows = np.array([3, epoch, 3]), np.array([row, row, 9])
    shift = random_shifts(seed, epochs, rows, jitter)
    assert shift[1] == (literal(seed, 0, epoch, row) >> 32) * (2 * jitter + 1) // 2**32 - jitter
    assert random_flips(seed, epochs, rows)[1] == literal(seed, 1, epoch, row) >> 63
    assert shift.dtype == np.int64
    assert (abs(shift) <= jitter).all()


@pytest.mark.parametrize("axis", ["seed", "epoch", "row"])
def test_shifts_are_even_along_each_axis(axis):
    n, jitter = 70_000, 3
    zero, many = np.zeros(n, np.int64), np.arange(n)
    if axis == "seed":
        found = np.array([random_shifts(seed, zero[:1], zero[:1], jitter)[0] for seed in range(7000)])
    else:
        found = random_shifts(0, many if axis == "epoch" else zero, many if axis == "row" else zero, jitter)
    counts = np.bincount(found + jitter, minlength=7)
    assert len(counts) == 7
    # Chi-squared with six degrees of freedom: above 33 once in 100,000 draws.
    expected = len(found) / 7
    assert ((counts - expected) ** 2 / expected).sum() < 33


def test_flips_are_half_and_independent_of_shifts():
    rows = np.arange(40_000)
    turned, shift = random_flips(5, rows * 0, rows), random_shifts(5, rows * 0, rows, 50)
    assert abs(turned.mean() - 0.5) < 4.5 * 0.5 / 200
    assert abs(np.corrcoef(turned, shift)[0, 1]) < 4.5 / 200
    later = random_flips(5, rows * 0 + 1, rows)
    assert abs((turned == later).mean() - 0.5) < 4.5 * 0.5 / 200
