import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import seqlight as sl
from seqlight.metrics import attribution_similarity, method_agreement
from seqlight.metrics.similarity import correlations, cosines

# Few different numbers, for ties and zeros.
tracks = st.lists(st.lists(st.integers(-3, 3), min_size=6, max_size=6), min_size=3, max_size=3)


def sign_agreement(a, b):
    flags = [np.sign(x) == np.sign(y) for x, y in zip(a, b, strict=True) if x or y]
    return sum(flags) / len(flags) if flags else 0


def top(row, k):
    order = sorted((i for i, value in enumerate(row) if value), key=lambda i: (-abs(row[i]), i))
    return set(order[:k])


def overlap(a, b, k, signed):
    mine, yours = top(a, k), top(b, k)
    common = {i for i in mine & yours if not signed or a[i] * b[i] > 0}
    return len(common) / max(len(mine), len(yours), 1)


def correlation(function, a, b):
    return 0 if np.ptp(a) == 0 or np.ptp(b) == 0 else function(a, b).statistic


def cosine(a, b):
    sizes = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / sizes if sizes else 0


@given(tracks, tracks, st.integers(1, 6), st.sampled_from([1e-200, 1.0, 1e200]))
def test_against_loops_and_scipy(a, b, k, scale):
    oracles = {
        (attribution_similarity, "cosine"): cosine,
        (attribution_similarity, "pearson"): lambda x, y: correlation(stats.pearsonr, x, y),
        (attribution_similarity, "sign"): sign_agreement,
        (method_agreement, "rank_correlation"): lambda x, y: correlation(stats.spearmanr, x, y),
        (method_agreement, "top"): lambda x, y: overlap(x, y, k, signed=False),
        (method_agreement, "signed_top"): lambda x, y: overlap(x, y, k, signed=True),
    }
    mine, yours = scale * torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    for (function, kind), oracle in oracles.items():
        settings = {"k": k} if function is method_agreement else {}
        expected = [oracle(x, y) for x, y in zip(a, b, strict=True)]
        found = function(mine, yours, kind, reduction="none", **settings)
        assert found.tolist() == pytest.approx(expected, abs=1e-9)
        assert float(function(mine, yours, kind, **settings)) == pytest.approx(np.mean(expected), abs=1e-9)
        if function is attribution_similarity:  # letters or not, all numbers are compared
            assert torch.equal(function(mine.view(3, 2, 3), yours.view(3, 2, 3), kind, reduction="none"), found)


def test_similarity_is_of_letters_and_agreement_of_positions():
    a = torch.zeros(1, 4, 3)
    a[0, 0] = torch.tensor([1.0, 2.0, 3.0])
    b = a.flip(1)  # the same at each position, of another letter
    assert float(attribution_similarity(a, b)) == 0
    assert float(method_agreement(a, b)) == pytest.approx(1)


SIGNED = ("cosine", "pearson", "rank_correlation")
ALL = [(attribution_similarity, kind) for kind in ("cosine", "pearson", "sign")] + [
    (method_agreement, kind) for kind in ("rank_correlation", "top", "signed_top")
]


@pytest.mark.parametrize(("function", "kind"), ALL)
def test_edges(function, kind):
    torch.manual_seed(0)
    a = torch.randn(3, 4, 12)
    assert float(function(a, a, kind)) == pytest.approx(1)
    if kind != "top":
        assert float(function(a, -2 * a, kind)) == pytest.approx(-1 if kind in SIGNED else 0)
    assert float(function(a, 0 * a, kind)) == float(function(0 * a, 0 * a, kind)) == 0
    for bad in (math.nan, math.inf):
        broken = a.clone()
        broken[1, 2, 5] = bad
        assert function(a, broken, kind, reduction="none").isnan().tolist() == [False, True, False]
        assert function(broken, a, kind).isnan()
    with pytest.raises(sl.InputError, match="expected the same sequences in both"):
        function(a, a[:1], kind)
    with pytest.raises(sl.InputError, match=f"kind is '{kind[::-1]}'"):
        function(a, a, kind[::-1])


def test_k_is_a_number_of_positions():
    a = torch.randn(2, 5)
    with pytest.raises(sl.InputError, match="k is 6: expected at most the 5 positions"):
        method_agreement(a, a, "top", k=6)
    with pytest.raises(sl.InputError, match="k is 0"):
        method_agreement(a, a, "top", k=0)
    assert float(method_agreement(a, a, k=6)) == pytest.approx(1)


number_rows = st.lists(st.lists(st.integers(-5, 5), min_size=4, max_size=4), min_size=1, max_size=4)


@given(number_rows, number_rows, st.sampled_from([1e-300, 1e-12, 1.0, 1e300]))
def test_rows_against_scipy(a, b, scale):
    n = min(len(a), len(b))
    x, y = (torch.tensor(one[:n], dtype=torch.float64) for one in (a, b))
    for i, (mine, yours) in enumerate(zip(x.numpy(), y.numpy(), strict=True)):
        sizes = np.linalg.norm(mine) * np.linalg.norm(yours)
        assert float(cosines(scale * x, y)[i]) == pytest.approx(mine @ yours / sizes if sizes else 0)
        flat = np.ptp(mine) == 0 or np.ptp(yours) == 0
        expected = 0 if flat else stats.pearsonr(mine, yours).statistic
        assert float(correlations(scale * x, y)[i]) == pytest.approx(expected, abs=1e-12)


def test_a_constant_correlates_with_nothing_however_its_mean_rounds():
    constant = torch.full((1, 7), 0.1, dtype=torch.float64)
    assert float(correlations(constant, torch.randn(1, 7, dtype=torch.float64))) == 0
    assert float(correlations(constant, constant)) == 0


def test_inputs_that_are_not_finite_give_nan():
    good = torch.tensor([[1.0, 2.0, 4.0]])
    for bad in (math.nan, math.inf, -math.inf):
        broken = torch.tensor([[1.0, bad, 2.0]])
        assert cosines(good, broken).isnan().all()
        assert correlations(broken, good).isnan().all()
