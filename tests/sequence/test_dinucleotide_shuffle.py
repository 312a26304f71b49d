"""What dinucleotide_shuffle keeps, what it can draw and how often, against a literal re-implementation."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import seqlight as sl
from one_hot_batches import batches_with_region, checked_result, spell
from seqlight.errors import InputError, ShuffleWarning

# A chi-square below this is wrong, not unlucky: the draws have fixed seeds.
UNLIKELY = 1e-4


def literal_shuffles(text, seed, n):
    """Return the shuffles of one string by the random stream of the tutorials."""
    stream = np.random.RandomState(seed)
    followers = {x: [b for a, b in pairwise(text) if a == x] for x in sorted(set(text[:-1]), key=rank)}
    shuffles = []
    for _ in range(n):
        for letter, following in followers.items():
            if len(following) > 1:
                order = stream.permutation(len(following) - 1)
                followers[letter] = [following[i] for i in order] + following[-1:]
        rest = {letter: iter(following) for letter, following in followers.items()}
        walk = text[0]
        while len(walk) < len(text):
            walk += next(rest[walk[-1]])
        shuffles.append(walk)
    return shuffles


def rank(letter):
    """Order letters as in the alphabet, unknown characters last."""
    return letter == "N", letter


def pairs(text):
    return Counter(pairwise(text))


def last_exits(text):
    return {text[i]: text[i + 1] for i in range(len(text) - 1)}


@settings(deadline=None, max_examples=200)
@given(batches_with_region(), st.integers(1, 9), st.integers(0, 2**31))
def test_against_the_literal_walk(case, n, seed):
    texts, X, alphabet, start, end = case
    expected = [
        [text[:start] + middle + text[end:] for middle in literal_shuffles(text[start:end], seed + row, n)]
        for row, text in enumerate(texts)
    ]
    if n > 1 and any(len(set(shuffles)) == 1 for shuffles in expected):
        with pytest.raises(InputError, match="All dinucleotide shuffles yield identical sequences"):
            sl.dinucleotide_shuffle(X, start, end, n, seed, allow_N=True)
        return
    found = checked_result(lambda X: sl.dinucleotide_shuffle(X, start, end, n, seed, allow_N=True), X)
    assert [spell(one, alphabet) for one in found] == expected
    for text, shuffles in zip(texts, expected, strict=True):
        for shuffled in shuffles:
            middle, old = shuffled[start:end], text[start:end]
            assert pairs(middle) == pairs(old)
            assert last_exits(middle) == last_exits(old)
            assert (middle[0], middle[-1]) == (old[0], old[-1])


def arrangements(text):
    """Return every string with the first character and the pairs of `text`, by exhaustive search."""

    def extended(walk, left):
        if not +left:
            yield walk
        for (first, second), count in left.items():
            if first == walk[-1] and count:
                yield from extended(walk + second, left - Counter({(first, second): 1}))

    return set(extended(text[0], pairs(text)))


@pytest.mark.parametrize(
    "text", ["ACAGATA", "AACCAACC", "TTAGTTGTGCC", "ATCATTTTCTCG", "AAAATAAAC", "ACNAGNATN", "CACGACTATC", "GGGTGGT"]
)
def test_all_arrangements_with_the_same_last_exits_are_reached_and_equally_often(text):
    # Orders of the follower lists and arrangements correspond one to one, and each arrangement stands for equally
    # many permutations of the lists: so those that keep the last exits are equally likely.
    reachable = {one for one in arrangements(text) if last_exits(one) == last_exits(text)}
    assert text in reachable
    assert 1 < len(reachable) < 2000
    # Draw many in both ways: one after the other from one stream, and the first of many streams.
    X = sl.one_hot_encode([text])
    n = 200 * len(reachable)
    chained = sl.dinucleotide_shuffle(X, 0, None, n=n, random_state=1, allow_N=True)[0]
    seeds = sl.dinucleotide_shuffle(X.expand(n, -1, -1), 0, None, n=1, random_state=10**6, allow_N=True)[:, 0]
    for drawn in (chained, seeds):
        counts = Counter(spell(drawn))
        assert set(counts) == reachable
        assert stats.chisquare(list(counts.values())).pvalue > UNLIKELY


def test_some_arrangements_change_a_last_exit_and_are_not_reached():
    text = "ACAGATA"
    everything = arrangements(text)
    assert {last_exits(one)["A"] for one in everything} == {"C", "G", "T"}
    drawn = set(spell(sl.dinucleotide_shuffle(sl.one_hot_encode([text]), 0, None, n=500, random_state=0)[0]))
    assert drawn == {"ACAGATA", "AGACATA"}


def test_successive_shuffles_do_not_depend_on_each_other():
    drawn = spell(sl.dinucleotide_shuffle(sl.one_hot_encode(["ACAGATATA"]), 0, None, n=6000, random_state=5)[0])
    kinds = sorted(set(drawn))
    assert len(kinds) > 3
    table = np.zeros((len(kinds), len(kinds)))
    for one, other in pairwise(drawn):
        table[kinds.index(one), kinds.index(other)] += 1
    assert stats.chi2_contingency(table).pvalue > UNLIKELY


def test_positions_outside_the_region_stay():
    X = sl.random_one_hot((3, 4, 50), random_state=0)
    found = sl.dinucleotide_shuffle(X, 10, 40, n=4, random_state=0)
    assert torch.equal(found[..., :11], X[:, None, :, :11].expand(-1, 4, -1, -1))
    assert torch.equal(found[..., 39:], X[:, None, :, 39:].expand(-1, 4, -1, -1))
    # As in a slice, -1 leaves out the last position.
    for end, same in [(-1, 49), (None, 50), (-11, 39)]:
        ours = sl.dinucleotide_shuffle(X, 10, end, random_state=0)
        assert torch.equal(ours, sl.dinucleotide_shuffle(X, 10, same, random_state=0))
    with pytest.raises(InputError, match=r"end is -51, before the start of sequences of 50 positions"):
        sl.dinucleotide_shuffle(X, 0, -51)


def test_a_result_does_not_depend_on_the_batch_nor_on_n():
    X = sl.random_one_hot((6, 4, 80), random_state=0)
    whole = sl.dinucleotide_shuffle(X, n=7, random_state=30)
    for row in range(6):
        assert torch.equal(sl.dinucleotide_shuffle(X[row : row + 1], n=7, random_state=30 + row)[0], whole[row])
    assert torch.equal(sl.dinucleotide_shuffle(X, n=3, random_state=30), whole[:, :3])
    seeds = [5, 5, 0, 33, 2**32 - 1, 7]
    named = sl.dinucleotide_shuffle(X, n=2, random_state=seeds)
    for row, seed in enumerate(seeds):
        assert torch.equal(sl.dinucleotide_shuffle(X[row : row + 1], n=2, random_state=seed)[0], named[row])


def test_unknown_characters_are_shuffled_if_allowed():
    text = "ACGNNTACANGTACGTTACNG"
    X = sl.one_hot_encode([text])
    with pytest.raises(InputError, match=r"position 1 of X\[:, :, 2:20\] holds \[0, 0, 0, 0\], an unknown .*allow_N"):
        sl.dinucleotide_shuffle(X, start=2)
    assert sl.dinucleotide_shuffle(X, start=5, end=8, n=1).shape == (1, 1, 4, 21)
    found = spell(sl.dinucleotide_shuffle(X, 0, None, random_state=0, allow_N=True)[0])
    assert len(set(found)) > 10
    assert all(pairs(one) == pairs(text) for one in found)


@pytest.mark.parametrize(("text", "n"), [("A", 2), ("AC", 2), ("AAAA", 3), ("ACGT", 2)])
def test_sequences_that_cannot_be_shuffled(text, n):
    X = sl.one_hot_encode([text])
    with pytest.raises(InputError, match=r"lack of diversity in sequence 0: shuffle a longer region, or use shuffle"):
        sl.dinucleotide_shuffle(X, 0, None, n=n)
    assert spell(sl.dinucleotide_shuffle(X, 0, None, n=1)[0]) == [text]


def test_the_sequence_that_cannot_be_shuffled_is_named():
    X = sl.one_hot_encode(["ACATAGACCA", "ACATAGACCA", "AAAAAAAAAA"])
    with pytest.raises(InputError, match="diversity in sequence 2"):
        sl.dinucleotide_shuffle(X, n=5)


def test_a_warning_only_when_asked_for():
    alphabet = "ACGTKLMPQRS"
    X = sl.one_hot_encode(["ACAGATACAGATTA", "ACAGATAKLMPQRS", "AGACATACAGATTA"], alphabet)
    drawn = sl.dinucleotide_shuffle(X, 0, None, n=50, random_state=0)
    still = (drawn == drawn[:, :1]).all(dim=2).all(dim=1).sum(dim=1).tolist()
    assert still[0] == still[2] == 3
    assert still[1] == 11
    with pytest.warns(ShuffleWarning, match=r"At least one position .* identical across all positions: ") as caught:
        sl.dinucleotide_shuffle(X, 0, None, n=50, random_state=0, verbose=True)
    assert caught[0].filename == __file__
    assert "11 of 14 in sequence 1 stay the same, and three " in str(caught[0].message)
    with pytest.warns(ShuffleWarning, match="3 of 3 in sequence 0 stay"):
        sl.dinucleotide_shuffle(X, 0, 3, n=1, verbose=True)
    sl.dinucleotide_shuffle(X, 0, 2, n=1, verbose=True)


@given(st.text("ACG", min_size=3, max_size=9))
def test_last_exits_fix_the_last_character_but_one(text):
    assert {one[-2] for one in arrangements(text) if last_exits(one) == last_exits(text)} == {text[-2]}


def test_invalid_seeds():
    X = sl.random_one_hot((2, 4, 12), random_state=0)
    with pytest.raises(InputError, match=r"random_state has 3 seeds for 2 sequences: expected one each\."):
        sl.dinucleotide_shuffle(X, random_state=[1, 2, 3])
    with pytest.raises(InputError, match=r"random_state is 4294967296: expected 0 to 4294967295\."):
        sl.dinucleotide_shuffle(X, random_state=2**32 - 1)
    with pytest.raises(InputError, match="random_state is RandomState"):
        sl.dinucleotide_shuffle(X, random_state=np.random.RandomState(0))
