from __future__ import annotations

import math

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from seqlight.metrics.summary import convergence, interval_share, similarity, window_share

seeds = st.integers(0, 10_000)
sizes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9))


def tensors(size, seed, n=1, scale=1.0):
    torch.manual_seed(seed)
    return [scale * torch.randn(size, dtype=torch.float64) for _ in range(n)]


def columns(attributions, i):
    """Return what each position of sequence `i` has, one letter at a time."""
    return [sum(float(a) for a in attributions[i, :, p]) for p in range(attributions.shape[2])]


@given(sizes, seeds, st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_convergence_against_loops(size, seed, references):
    (attributions,) = tensors(size, seed)
    outputs, baselines = torch.randn(size[0]), torch.randn(size[0], references)
    misses, differences = [], []
    for i in range(size[0]):
        difference = float(outputs[i]) - sum(map(float, baselines[i])) / references
        misses.append(abs(sum(columns(attributions, i)) - difference))
        differences.append(abs(difference))
    found = convergence(attributions, outputs, baselines)
    assert found.largest == pytest.approx(max(misses))
    assert found.relative == pytest.approx(sum(misses) / sum(differences))


def test_convergence_edges():
    nothing = torch.zeros(2, 4, 5)
    assert convergence(nothing, torch.ones(2), torch.ones(2, 3)) == (0, 0)
    assert all(map(math.isnan, convergence(nothing / 0, torch.ones(2), torch.ones(2, 3))))
    assert all(map(math.isnan, convergence(nothing, torch.tensor([1, math.nan]), torch.ones(2, 3))))
    for outputs, baselines in (
        (torch.ones(2, 1), torch.ones(2, 3)),  # would broadcast to all pairs
        (torch.ones(2), torch.ones(2)),
        (torch.ones(2), torch.ones(3, 2)),
        (torch.ones(2), torch.ones(2, 0)),
    ):
        with pytest.raises(sl.InputError, match="outputs has shape"):
            convergence(nothing, outputs, baselines)
    with pytest.raises(sl.InputError, match=r"attributions has shape \(0, 4, 5\)"):
        convergence(nothing[:0], torch.ones(0), torch.ones(0, 3))


@given(sizes, seeds, st.data())
@settings(max_examples=40, deadline=None)
def test_window_share_against_loops(size, seed, data):
    (attributions,) = tensors(size, seed)
    start = data.draw(st.integers(0, size[2] - 1))
    end = data.draw(st.integers(start + 1, size[2]))
    inside = total = 0.0
    for i in range(size[0]):
        for p, value in enumerate(columns(attributions, i)):
            total += max(value, 0)
            inside += max(value, 0) * (start <= p < end)
    expected = inside / total if total else 0
    assert window_share(attributions, start, end) == pytest.approx(expected)
    table = pd.DataFrame({"example_idx": range(size[0]), "start": start, "end": end})
    assert interval_share(attributions, table) == pytest.approx(expected)


def test_window_share_edges():
    nothing = torch.zeros(2, 4, 5)
    assert window_share(nothing, 0, 5) == 0
    assert window_share(nothing - 1, 0, 5) == 0
    broken = nothing.clone()
    broken[1, 0, 4] = math.nan
    assert math.isnan(window_share(broken, 0, 2))
    for window in ((-3, 2), (2, 2), (3, 2), (0, 6)):
        with pytest.raises(sl.InputError, match=f"the window is {window[0]} to {window[1]}"):
            window_share(nothing, *window)


def test_interval_share_counts_a_position_once():
    table = pd.DataFrame({"example_idx": [0, 0, 0], "start": [1, 2, -5], "end": [4, 3, 1]})
    assert interval_share(torch.ones(2, 1, 5), table) == pytest.approx(0.4)
    assert interval_share(torch.ones(2, 1, 5), table[:0]) == 0
    assert math.isnan(interval_share(torch.full((2, 1, 5), math.nan), table[:0]))
    assert interval_share(torch.zeros(2, 1, 5), table) == 0
    with pytest.raises(sl.InputError, match="example_idx outside 0 to 0"):
        interval_share(torch.ones(1, 1, 5), table + 1)


@given(sizes, seeds, st.sampled_from([1e-160, 1e-12, 1.0, 1e150]))
@settings(max_examples=40, deadline=None)
def test_similarity_against_loops(size, seed, scale):
    a, b = tensors(size, seed, 2)
    cosines = []
    for x, y in zip(a.flatten(1).tolist(), b.flatten(1).tolist(), strict=True):
        product = sum(p * q for p, q in zip(x, y, strict=True))
        cosines.append(product / math.hypot(*x) / math.hypot(*y))
    # A scale must not matter, however small: untrained models have tiny attributions.
    assert similarity(scale * a, b) == pytest.approx(sum(cosines) / len(cosines), abs=1e-9)


def test_similarity_edges():
    (a,) = tensors((3, 4, 5), 0)
    assert similarity(a, a) == pytest.approx(1)
    assert similarity(a, -2 * a) == pytest.approx(-1)
    assert similarity(a, 0 * a) == 0
    assert math.isnan(similarity(a, a / 0 * 0))
    with pytest.raises(sl.InputError, match="expected the same sequences in both"):
        similarity(a, a[:1])
    with pytest.raises(sl.InputError, match="attributions has shape"):
        similarity(a[0, 0], a[0, 0])
