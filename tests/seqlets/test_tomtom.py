"""Tomtom against a literal reading of its definition, and against memelite without its approximations."""

import importlib
import math
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.seqlets import tomtom
from seqlight.seqlets.tomtom import BINS, compare

LETTERS = [*np.eye(4), np.zeros(4)]


def motifs_of(seed, n, longest=9):
    rng = np.random.RandomState(seed)
    return [rng.dirichlet([0.2] * 4, size=rng.randint(2, longest)).T for _ in range(n)]


def literal(piece, motifs):
    """Return the best score with each motif on each strand, how likely chance reaches it, and its offsets: slowly."""
    strands = [*motifs, *(m[::-1, ::-1] for m in motifs)]
    columns = [column for m in strands for column in m.T]

    def distance(letter, column):
        return -math.dist(LETTERS[letter], column)

    medians = {i: sorted(distance(i, c) for c in columns)[(len(columns) - 1) // 2] for i in set(piece)}
    scores = [distance(i, c) - medians[i] for i in set(piece) for c in columns]
    low = math.floor(min(scores))
    scale = int(BINS / max(max(scores) - low, 1))
    zero = -low * scale

    def steps(letter, column):
        return math.floor((distance(letter, column) - medians[letter] - low) * scale + 0.5)

    def chances(letters):
        sums = Counter({zero * (len(piece) - len(letters)): 1.0})
        for letter in letters:
            drawn = Counter(steps(letter, c) for c in columns)
            new = Counter()
            for a, p in sums.items():
                for b, n in drawn.items():
                    new[a + b] += p * n / len(columns)
            sums = new
        return sums

    def aligned(length):
        for offset in range(1 - len(piece), length):
            yield offset, [i for i in range(len(piece)) if 0 <= i + offset < length]

    found = []
    for m in strands:
        every = {
            offset: sum(steps(piece[i], m[:, i + offset]) for i in pairs) + zero * (len(piece) - len(pairs))
            for offset, pairs in aligned(m.shape[1])
        }
        best = max(every.values())
        below = 1.0
        for _, pairs in aligned(m.shape[1]):
            below *= sum(p for score, p in chances([piece[i] for i in pairs]).items() if score < best)
        found.append((best, 1 - below, [offset for offset, score in every.items() if score == best]))
    return found


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.integers(0, 1000))
def test_against_the_definition(piece, seed):
    motifs = motifs_of(seed, 3, longest=6)
    found = compare([np.array(piece)], motifs)
    wanted = literal(piece, motifs)
    for i in range(3):
        forward, backward = wanted[i], wanted[i + 3]
        assert found.reverse[0, i] == (backward[0] > forward[0])
        best = max(forward, backward, key=lambda one: one[0])
        assert found.p_value[0, i] == pytest.approx(1 - (1 - best[1]) ** 2, abs=1e-9)
        assert found.offset[0, i] in best[2]


def test_ties_go_to_the_larger_overlap_and_then_to_the_first():
    # If all columns are equal, every alignment scores the same.
    flat = [np.full((4, 5), 0.25)] * 3
    assert compare([np.array([4, 0, 4])], flat).offset.tolist() == [[0, 0, 0]]


def test_small_p_values_keep_their_digits():
    site = np.array([0, 2, 1, 3] * 8)
    motifs = [*motifs_of(0, 40), np.eye(4)[site].T]
    found = compare([site], motifs).p_value[0]
    assert 0 < found[-1] < 1e-18
    assert found[:-1].min() > found[-1]


def test_the_size_of_the_cache_does_not_matter(monkeypatch):
    rng = np.random.RandomState(1)
    pieces, motifs = [rng.randint(0, 4, size=rng.randint(1, 12)) for _ in range(6)], motifs_of(3, 30)
    at_once = compare(pieces, motifs)
    monkeypatch.setattr(tomtom, "CACHE_SIZE", 500)
    for piece, *wanted in zip(pieces, *at_once, strict=True):
        for one, other in zip(compare([piece], motifs), wanted, strict=True):
            np.testing.assert_array_equal(one[0], other)


@pytest.mark.slow  # it compiles for most of a minute
def test_against_memelite_without_its_approximations():
    pytest.importorskip("memelite")
    theirs = importlib.import_module("memelite.tomtom").tomtom
    motifs = list(sl.jaspar_motifs(tax_group="vertebrates").values())
    rng = np.random.RandomState(0)
    pieces = [
        *(rng.randint(0, 4, size=rng.randint(1, 30)) for _ in range(40)),
        *(m.argmax(axis=0) for m in motifs[:40]),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = theirs([np.eye(4)[p].T for p in pieces], motifs, n_target_bins=None, n_median_bins=1_000_000)
    found = compare(pieces, motifs)
    np.testing.assert_allclose(found.p_value, wanted[0], rtol=1e-9)
    # If both strands score the same, memelite takes the reverse one; of equal offsets, another one.
    assert (wanted[4] == 1)[found.reverse].all()
    assert (found.offset == wanted[2])[found.reverse].mean() > 0.9
