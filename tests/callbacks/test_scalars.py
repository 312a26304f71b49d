from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

import seqlight as sl
from seqlight.metrics import attribution_consistency, kmer_consistency
from seqlight_callbacks import AttributionRecord
from seqlight_callbacks.scalars import attribution_scalars


def record(attributions, **more):
    return AttributionRecord(1, attributions, torch.zeros(len(attributions)), **more)


@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 10**6))
def test_entropy_is_that_of_scipy(n, length, seed):
    generator = torch.Generator().manual_seed(seed)
    track = torch.randn(n, length, generator=generator) * torch.randint(0, 2, (n, length), generator=generator)
    numbers = attribution_scalars(record(torch.nn.functional.pad(track.unsqueeze(1), (0, 0, 1, 2))))
    sizes = track.abs().double().numpy()
    each = [entropy(row) if row.any() else 0.0 for row in sizes]
    assert numbers["entropy"] == pytest.approx(np.mean(each), abs=1e-9)
    spread = [math.exp(one) if row.any() else 0.0 for one, row in zip(each, sizes, strict=True)]
    assert numbers["effective_positions"] == pytest.approx(np.mean(spread), rel=1e-6)
    assert 0 <= numbers["effective_positions"] <= length * (1 + 1e-9)


def test_standard_error():
    attributions = torch.tensor([[[3.0, 4.0]]])
    numbers = attribution_scalars(record(attributions, standard_error=torch.tensor([[0.3, 0.4]])))
    assert numbers["standard_error"] == pytest.approx(math.sqrt(0.125))
    assert numbers["relative_standard_error"] == pytest.approx(0.1)


def test_names_depend_only_on_the_fields_of_a_record():
    one = record(torch.rand(2, 4, 5))
    base = {"magnitude", "entropy", "effective_positions", "consistency", "similarity"}
    assert attribution_scalars(one).keys() == base
    whole = record(torch.rand(2, 4, 5), reference_outputs=torch.rand(2, 3), standard_error=torch.rand(2, 5))
    more = {"delta", "relative_delta", "standard_error", "relative_standard_error", "agreement", "window_share"}
    assert attribution_scalars(whole, one, one.attributions, (0, 2)).keys() == base | more
    X = sl.random_one_hot((2, 4, 5), random_state=0)
    assert attribution_scalars(one, sequences=X).keys() == base | {"kmer_consistency"}
    assert "consistency" not in attribution_scalars(record(torch.rand(2, 20, 5)))
    assert attribution_scalars(record(torch.rand(2, 4, 2)), sequences=X[:, :, :2]).keys() == base - {"consistency"}


def test_consistency_is_that_of_all_letters():
    X = sl.random_one_hot((8, 4, 50), random_state=0)
    hypothetical = torch.randn(8, 4, 50, generator=torch.Generator().manual_seed(0))
    numbers = attribution_scalars(record(hypothetical * X, hypothetical=hypothetical), sequences=X)
    assert numbers["consistency"] == float(attribution_consistency(hypothetical))
    assert numbers["kmer_consistency"] == float(kmer_consistency(hypothetical, X))


def test_zeros_give_0_and_nan_gives_nan():
    X = sl.random_one_hot((2, 4, 5), random_state=0)
    assert set(attribution_scalars(record(torch.zeros(2, 4, 5)), sequences=X).values()) == {0.0}
    broken = attribution_scalars(record(torch.full((2, 4, 5), float("nan"))), sequences=X)
    names = ("magnitude", "entropy", "effective_positions", "consistency", "kmer_consistency")
    assert all(math.isnan(broken[name]) for name in names)
