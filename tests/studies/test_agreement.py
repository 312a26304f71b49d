"""The numbers of a study, against literal loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqlight.studies.agreement import likeness, miss, motif_agreement


def arrays(seed, *shape):
    return torch.from_numpy(np.random.RandomState(seed).randn(*shape))


@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 3), st.integers(10, 30))
def test_miss_is_that_of_a_loop(seed, rows, n, positions):
    found, outputs, references = arrays(seed, rows, n, positions), arrays(seed + 1, rows), arrays(seed + 2, rows, n)
    errors, differences = [], []
    for i in range(rows):
        for k in range(n):
            difference = float(outputs[i] - references[i, k])
            errors.append(abs(sum(float(one) for one in found[i, k]) - difference))
            differences.append(abs(difference))
    scale = sum(differences) / len(differences)
    assert miss(found, outputs, references) == pytest.approx((sum(errors) / len(errors) / scale, max(errors) / scale))
    scaled = miss(found * 3, outputs * 3, references * 3)
    assert scaled == pytest.approx(miss(found, outputs, references))


def test_miss_without_references_is_of_the_mean_difference():
    found = torch.tensor([[1.0, 1.0]])
    assert miss(found, torch.tensor([3.0]), torch.tensor([[2.0, 0.0]])) == (0.0, 0.0)


def test_miss_is_nan_where_outputs_do_not_differ_or_contributions_are_not_finite():
    assert all(map(math.isnan, miss(torch.ones(1, 1, 3), torch.ones(1), torch.ones(1, 1))))
    assert all(map(math.isnan, miss(torch.full((1, 1, 3), math.inf), torch.ones(1), torch.zeros(1, 1))))


@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 3), st.integers(10, 40))
def test_likeness_is_that_of_scipy(seed, rows, n, positions):
    a, b = arrays(seed, rows, n, positions), arrays(seed + 1, rows, n, positions)
    pairs = [(a[i, k].numpy(), b[i, k].numpy()) for i in range(rows) for k in range(n)]
    top = max(1, round(0.1 * positions))
    largest = [[set(np.argsort(-abs(one), kind="stable")[:top]) for one in pair] for pair in pairs]
    flips = [
        sum((abs(x[p]) / abs(x).sum() + abs(y[p]) / abs(y).sum()) / 2 for p in range(positions) if x[p] * y[p] < 0)
        for x, y in pairs
    ]
    assert likeness(a, b) == pytest.approx(
        {
            "r": np.mean([stats.pearsonr(*pair)[0] for pair in pairs]),
            "rank_r": np.mean([stats.spearmanr(*pair)[0] for pair in pairs]),
            "sign_flips": np.mean(flips),
            "top_overlap": np.mean([len(x & y) / top for x, y in largest]),
        }
    )


def test_likeness_with_itself_and_its_negative():
    a = arrays(0, 2, 3, 30)
    assert likeness(a, a) == pytest.approx({"r": 1, "rank_r": 1, "sign_flips": 0, "top_overlap": 1})
    assert likeness(a, -a) == pytest.approx({"r": -1, "rank_r": -1, "sign_flips": 1, "top_overlap": 1})
    assert likeness(a, a.mean(dim=1)) == pytest.approx({"r": 1, "rank_r": 1, "sign_flips": 0, "top_overlap": 1})
    assert all(map(math.isnan, likeness(a, a * math.nan).values()))


def test_motif_agreement():
    found = torch.tensor([[3.0, -5.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    motifs = torch.tensor([[True, False, True, False], [False] * 4])
    assert motif_agreement(found, motifs) == {"motif_share": 0.4, "motif_recall": 0.5}
    assert all(map(math.isnan, motif_agreement(found, torch.zeros(2, 4, dtype=torch.bool)).values()))
