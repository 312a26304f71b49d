"""The k-mers under high attribution, against a literal version in the steps of the authors' released code."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import kl_div

import seqlight as sl
from seqlight.metrics import kmer_consistency


def stretches(high):
    """Return the stretches of a row as lists of positions: runs, two positions more each, merged where they overlap."""
    runs = [list(run) for _, run in itertools.groupby(np.flatnonzero(high), key=lambda at: at - sum(high[:at]))]
    merged = []
    for run in runs:
        end = min(run[-1] + 2, len(high) - 1)
        if merged and run[0] <= merged[-1][1]:
            merged[-1][1] = max(end, merged[-1][1])
        else:
            merged.append([run[0], end])
    return [list(range(first, last + 1)) for first, last in merged]


def slow_consistency(maps, words, k, share):
    """Return the divergence for maps (sequences, positions, letters) and sequences as strings."""
    selected, every = Counter(), Counter()
    for one, word in zip(maps, words, strict=True):
        sizes = np.linalg.norm(one - one.mean(axis=1, keepdims=True), axis=1)
        high = (sizes > np.quantile(sizes, 1 - share)).astype(int)
        every.update(word[i : i + k] for i in range(len(word) - k + 1))
        for stretch in stretches(high):
            part = "".join(word[i] for i in stretch)
            selected.update(part[i : i + k] for i in range(len(part) - k + 1))
    names = [name for name in every if "N" not in name]
    p, q = (np.array([float(count[name]) for name in names]) for count in (selected, every))
    return kl_div(p / p.sum(), q / q.sum()).sum() if p.sum() else math.nan


@settings(max_examples=40)
@given(
    st.integers(1, 4),
    st.integers(6, 40),
    st.integers(1, 4),
    st.sampled_from([0.1, 0.2, 0.5, 1.0]),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_against_the_definition(n, length, k, share, unknown, seed):
    generator = torch.Generator().manual_seed(seed)
    X = sl.random_one_hot((n, 4, length), random_state=seed)
    # Few different sizes, for ties and for stretches of any form.
    maps = torch.randint(-2, 3, (n, 4, length), generator=generator).double()
    if unknown:
        X[:, :, length // 2] = 0
    words = ["".join("ACGTN"[int(c.argmax()) if c.any() else 4] for c in row.T) for row in X]
    expected = slow_consistency(maps.transpose(1, 2).numpy(), words, k, share)
    found = float(kmer_consistency(maps, X, k, share))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)
    # One number for each position is read as its length.
    sizes = (maps - maps.mean(dim=1, keepdim=True)).norm(dim=1)
    assert float(kmer_consistency(sizes, X, k, share)) == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([1e-300, 3.0, -1.0, 1e200]))
def test_neither_the_order_nor_the_scale_nor_the_alphabet_matters(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    X = sl.random_one_hot((6, 4, 40), random_state=seed)
    maps = torch.randn(6, 4, 40, generator=generator, dtype=torch.float64)
    one = float(kmer_consistency(maps, X))
    order, letters = torch.randperm(6, generator=generator), torch.randperm(4, generator=generator)
    assert float(kmer_consistency(maps[order], X[order])) == pytest.approx(one, rel=1e-9)
    assert float(kmer_consistency(maps[:, letters], X[:, letters])) == pytest.approx(one, rel=1e-9)
    assert float(kmer_consistency(maps * scale, X)) == pytest.approx(one, rel=1e-9)
    more = torch.zeros(6, 16, 40)
    sizes = (maps - maps.mean(dim=1, keepdim=True)).norm(dim=1)
    assert float(kmer_consistency(sizes, torch.cat([X, more.to(X.dtype)], dim=1))) == pytest.approx(one, rel=1e-9)


def test_stretches_that_only_touch_are_not_joined():
    X = sl.one_hot_encode("ACGTACGTAC").unsqueeze(0)
    track = torch.zeros(1, 10)
    track[0, [2, 5]] = 1  # 2 to 4, and 5 to 7
    # The words GTA and CGT, each once, of 8: ACG, CGT, GTA and TAC, each twice.
    assert float(kmer_consistency(track, X, share=0.2)) == pytest.approx(math.log(2))


def test_edges():
    X = sl.random_one_hot((3, 4, 30), random_state=0)
    maps = torch.randn(3, 4, 30, generator=torch.Generator().manual_seed(0))
    for bad in (math.nan, math.inf):
        broken = maps.clone()
        broken[0, 0, 0] = bad
        assert kmer_consistency(broken, X).isnan()
    assert kmer_consistency(torch.zeros(3, 30), X).isnan()
    for arguments, message in [
        ((maps[:2], X), "the same sequences in both"),
        ((torch.zeros(0, 30), X), "none of them 0"),
        ((maps, X.float() * 2), "one-hot"),
        ((maps, X, 31), "k is 31: expected at most the 30"),
        ((maps, X, 13), r"there are 4\^13 words"),
        ((maps, X, 3, True), "share is True: expected"),
    ]:
        with pytest.raises(sl.InputError, match=message):
            kmer_consistency(*arguments)
