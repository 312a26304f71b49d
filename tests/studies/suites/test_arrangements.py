"""Arrangements of letters, against brute force."""

from collections import Counter
from itertools import pairwise
from itertools import permutations as orders

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.studies.suites.arrangements import (
    arrangements,
    count_arrangements,
    count_permutations,
    draw_arrangement,
    permutations,
)

texts = st.text("ACG", min_size=1, max_size=7)


@given(texts)
def test_permutations_are_all_orders_once(text):
    assert list(permutations(text)) == sorted({"".join(order) for order in orders(text)})
    assert count_permutations(text) == len(list(permutations(text)))


@given(texts)
def test_arrangements_are_all_orders_with_the_same_pairs_once(text):
    pairs = Counter(pairwise(text))
    every = {"".join(order) for order in orders(text)}
    expected = sorted(one for one in every if one[0] == text[0] and Counter(pairwise(one)) == pairs)
    assert list(arrangements(text)) == expected
    assert count_arrangements(text) == len(expected)


def test_an_issue_of_tangermeme_counts_72():
    """Issue 27 of jmschrei/tangermeme: another program finds 72 shuffles."""
    assert count_arrangements("ACCCACGATGATA") == len(list(arrangements("ACCCACGATGATA"))) == 72


@given(texts, st.integers(0, 99))
def test_a_draw_is_an_arrangement(text, seed):
    assert draw_arrangement(text, np.random.RandomState(seed)) in set(arrangements(text))


@pytest.mark.parametrize("text", ["ACGTACTGA", "AACACCCACAAC"])
def test_draws_are_uniform(text):
    possible, stream = list(arrangements(text)), np.random.RandomState(1)
    counts = Counter(draw_arrangement(text, stream) for _ in range(100 * len(possible)))
    # Poisson counts of mean 100 are within 5 standard deviations.
    assert all(abs(counts[one] - 100) < 50 for one in possible)
