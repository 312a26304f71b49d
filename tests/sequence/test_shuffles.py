"""What the shuffles keep, what they can draw and how often, against literal re-implementations."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import seqlight as sl
from one_hot_batches import batches_with_region, checked_result, spell
from seqlight.errors import InputError

# A chi-square below this is wrong, not unlucky: the draws have fixed seeds.
UNLIKELY = 1e-4


# shuffle


@settings(deadline=None)
@given(batches_with_region(), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_shuffle_uses_one_order_for_all_sequences_of_a_round(case, n, seed):
    texts, X, alphabet, start, end = case
    found = checked_result(lambda X: sl.shuffle(X, start, end, n, seed), X)
    stream = np.random.RandomState(seed)
    orders = [stream.permutation(end - start) for _ in range(n)]
    for text, shuffles in zip(texts, found, strict=True):
        middle = text[start:end]
        expected = [text[:start] + "".join(middle[i] for i in order) + text[end:] for order in orders]
        assert spell(shuffles, alphabet) == expected


def test_a_negative_end_counts_back():
    X = sl.random_one_hot((2, 4, 12), random_state=0)
    for end, same in [(-1, 12), (None, 12), (-2, 11), (-12, 1)]:
        assert torch.equal(sl.shuffle(X, 0, end, 3, 7), sl.shuffle(X, 0, same, 3, 7))
    with pytest.raises(InputError, match=r"end is -14, before the start of sequences of 12 positions"):
        sl.shuffle(X, 0, -14)


def test_orders_are_equally_likely():
    X = sl.one_hot_encode(["abcd"], "abcd", ignore="")
    counts = Counter(spell(sl.shuffle(X, n=24_000, random_state=1)[0], "abcd"))
    assert len(counts) == 24
    assert stats.chisquare(list(counts.values())).pvalue > UNLIKELY


# randomize


@settings(deadline=None)
@given(batches_with_region(), st.integers(1, 3), st.integers(0, 2**32 - 1), st.data())
def test_randomize_draws_by_inverse_transform(case, n, seed, data):
    texts, X, alphabet, start, end = case
    rows = data.draw(st.sampled_from([None, 1, len(texts)]))
    probs = None
    if rows:
        weights = st.lists(st.integers(1, 9), min_size=len(alphabet), max_size=len(alphabet))
        probs = np.array([data.draw(weights) for _ in range(rows)], dtype=float)
        probs /= probs.sum(axis=1, keepdims=True)
    found = checked_result(lambda X: sl.randomize(X, start, end, probs, n, seed), X)
    stream = np.random.RandomState(seed)
    for round_ in range(n):
        for row, text in enumerate(texts):
            p = np.full(len(alphabet), 1 / len(alphabet)) if probs is None else probs[row % len(probs)]
            steps = np.cumsum(p) / np.cumsum(p)[-1]
            new = [alphabet[sum(draw >= steps[:-1])] for draw in stream.random_sample(end - start)]
            kept = ["N" if old == "N" else x for old, x in zip(text[start:end], new, strict=True)]
            assert spell(found[row], alphabet)[round_] == text[:start] + "".join(kept) + text[end:]


@pytest.mark.parametrize("probs", [None, [0.1, 0.2, 0.3, 0.4], [[0.7, 0.1, 0.1, 0.1]], [0.5, 0, 0, 0.5]])
def test_randomized_letters_have_their_probabilities(probs):
    X = sl.random_one_hot((4, 4, 100), random_state=0)
    counts = sl.randomize(X, 20, 70, probs, n=100, random_state=2)[..., 20:70].sum(dim=(0, 1, 3)).numpy()
    p = np.full(4, 0.25) if probs is None else np.ravel(probs)
    assert counts[p == 0].sum() == 0
    assert stats.chisquare(counts[p > 0], p[p > 0] * counts.sum()).pvalue > UNLIKELY


# all three of them

SHUFFLES = [
    lambda X, **more: sl.randomize(X, 2, 9, **more),
    lambda X, **more: sl.shuffle(X, **more),
    lambda X, **more: sl.dinucleotide_shuffle(X, **more),
]


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_seeds(shuffle):
    X = sl.random_one_hot((2, 4, 40), random_state=0)
    assert torch.equal(shuffle(X, n=3, random_state=1), shuffle(X, n=3, random_state=1))
    assert not torch.equal(shuffle(X, n=3, random_state=1), shuffle(X, n=3, random_state=2))
    assert not torch.equal(shuffle(X, n=3), shuffle(X, n=3))
    for seed in (-1, 2**32, 0.5, "0"):
        with pytest.raises(InputError, match="random_state is"):
            shuffle(X, random_state=seed)


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_global_generators_do_not_advance(shuffle):
    X = sl.random_one_hot((2, 4, 40), random_state=0)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    shuffle(X)
    shuffle(X, random_state=0)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_any_memory_layout_and_inputs_that_require_grad(shuffle):
    X = sl.random_one_hot((3, 4, 40), random_state=0, dtype=torch.float32)
    expected = shuffle(X, n=2, random_state=0)
    assert torch.equal(shuffle(X.transpose(1, 2).contiguous().transpose(1, 2), n=2, random_state=0), expected)
    assert torch.equal(shuffle(X.repeat(1, 1, 2)[:, :, 40:], n=2, random_state=0), expected)
    drawn = shuffle(X.clone().requires_grad_(), n=2, random_state=0)
    assert torch.equal(drawn, expected)
    assert not drawn.requires_grad


@pytest.mark.parametrize("shuffle", SHUFFLES)
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (torch.eye(4), r"X has shape \(4, 4\): expected three dimensions"),
        (torch.eye(4).numpy(), r"X is a numpy\.ndarray: expected a torch\.Tensor; use torch\.from_numpy\(X\)"),
        ("ACGT", r"X is a str: .*one_hot_encode\(X\)"),
        (torch.full((1, 4, 12), 0.25), r"holds \[0\.25, 0\.25, 0\.25, 0\.25\]: expected a single 1"),
        (torch.full((1, 4, 12), torch.nan), r"holds NaN"),
        (torch.zeros(0, 4, 12), "X is empty"),
        (torch.zeros(1, 4, 12, device="meta"), "X is on the meta device"),
    ],
)
def test_invalid_sequences(shuffle, X, message):
    with pytest.raises(InputError, match=message):
        shuffle(X)


X12 = sl.random_one_hot((2, 4, 12), random_state=0)


@pytest.mark.parametrize("shuffle", [sl.randomize, sl.shuffle, sl.dinucleotide_shuffle])
@pytest.mark.parametrize(
    ("start", "end", "n", "message"),
    [
        (0, 13, 1, r"end is 13, off the end of sequences of 12 positions: expected at most 12\."),
        (-1, 5, 1, r"start is -1: expected 0 or more\."),
        (5, 5, 1, r"the region from 5 to 5 is empty: expected start < end\."),
        (0.5, 5, 1, r"start is 0\.5: expected a whole number\."),
        (0, 5.5, 1, r"end is 5\.5: expected a whole number\."),
        (0, 5, 0, r"n is 0: expected 1 or more\."),
        (0, 5, None, r"n is None: expected a whole number\."),
    ],
)
def test_invalid_regions_and_counts(shuffle, start, end, n, message):
    with pytest.raises(InputError, match=message):
        shuffle(X12, start, end, n=n)


def test_options_of_randomize():
    with pytest.raises(InputError, match=r"end is -1: expected 0 or more\."):
        sl.randomize(X12, 0, -1)
    assert sl.randomize(X12, 0, None).shape == (2, 1, 4, 12)
    with pytest.raises(InputError, match=r"probs holds \[0\.5, 0\.4, 0\.0, 0\.0\]"):
        sl.randomize(X12, 0, 5, [0.5, 0.4, 0, 0])
    with pytest.raises(InputError, match=r"probs has shape \(3,\)"):
        sl.randomize(X12, 0, 5, [0.5, 0.4, 0.1])
