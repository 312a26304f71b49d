"""Arrangements of letters, against brute force."""

from collections import Counter
from itertools import pairwise
from itertools import permutations as orders

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.studies.suites.permutations import (
    count_dinucleotide_permutations,
    count_permutations,
    dinucleotide_permutations,
    draw_dinucleotide_permutation,
    permutations,
)

texts = st.text("ACG", min_size=1, max_size=7)


@given(texts)
def test_permutations_are_all_orders_once(text):
    assert list(permutations(text)) == sorted({"".join(order) for order in orders(text)})
    assert count_permutations(text) == len(list(permutations(text)))


@given(texts)
def test_dinucleotide_permutations_are_all_orders_with_the_same_pairs_once(text):
    pairs = Counter(pairwise(text))
    every = {"".join(order) for order in orders(text)}
    expected = sorted(one for one in every if one[0] == text[0] and Counter(pairwise(one)) == pairs)
    assert list(dinucleotide_permutations(text)) == expected
    assert count_dinucleotide_permutations(text) == len(expected)


def test_an_issue_of_tangermeme_counts_72():
    """Issue 27 of jmschrei/tangermeme: another program finds 72 shuffles."""
    assert (
        count_dinucleotide_permutations("ACCCACGATGATA") == len(list(dinucleotide_permutations("ACCCACGATGATA"))) == 72
    )


@given(texts, st.integers(0, 99))
def test_a_draw_is_a_permutation(text, seed):
    assert draw_dinucleotide_permutation(text, np.random.RandomState(seed)) in set(dinucleotide_permutations(text))


@pytest.mark.parametrize("text", ["ACGTACTGA", "AACACCCACAAC"])
def test_draws_are_uniform(text):
    possible, stream = list(dinucleotide_permutations(text)), np.random.RandomState(1)
    counts = Counter(draw_dinucleotide_permutation(text, stream) for _ in range(100 * len(possible)))
    # Poisson counts of mean 100 are within 5 standard deviations.
    assert all(abs(counts[one] - 100) < 50 for one in possible)
