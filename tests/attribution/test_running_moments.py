"""Mean and standard error, a few at a time, against NumPy on all at once."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.attribution.running_moments import RunningMoments


def add(moments, values, rows):
    """Add references to moments: `values` of shape (sequences, targets, references, letters, positions)."""
    mean = values.mean(dim=2)
    moments.add(values.shape[2], mean, (values - mean.unsqueeze(2)).square().sum(dim=2), rows)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 2**31), st.sampled_from([0.0, 1e6]))
def test_parts_give_the_moments_of_the_whole(parts, seed, shift):
    values = shift + np.random.RandomState(seed).randn(2, 3, sum(parts), 4, 5)
    moments, rows = RunningMoments(torch.zeros(2, 3, 4, 5)), torch.ones(2, dtype=torch.bool)
    for part in torch.split(torch.from_numpy(values), parts, dim=2):
        add(moments, part, rows)
    assert moments.n.tolist() == [sum(parts)] * 2
    np.testing.assert_allclose(moments.mean, values.mean(2), rtol=1e-9, atol=1e-12)
    if sum(parts) > 1:
        wanted = values.std(2, ddof=1) / np.sqrt(sum(parts))
        np.testing.assert_allclose(moments.standard_error, wanted, rtol=1e-6, atol=1e-9)
    else:
        assert torch.isnan(moments.standard_error).all()


def test_sequences_that_are_left_out_do_not_change():
    torch.manual_seed(0)
    values = torch.rand(2, 1, 6, 4, 5, dtype=torch.float64)
    moments = RunningMoments(values[:, :, 0])
    add(moments, values[:, :, :4], torch.tensor([True, True]))
    add(moments, values[:, :, 4:], torch.tensor([False, True]))
    assert moments.n.tolist() == [4, 6]
    torch.testing.assert_close(moments.mean[0], values[0, :, :4].mean(1))
    torch.testing.assert_close(moments.mean[1], values[1].mean(1))


def test_uncertainty_counts_only_the_characters_of_the_sequence():
    values = torch.zeros(1, 1, 2, 4, 3, dtype=torch.float64)
    values[0, 0, :, 0, 0] = torch.tensor([2.0, 4.0])  # mean 3, standard error 1
    values[0, 0, :, 1] = torch.tensor([[100.0], [-100.0]])
    X = torch.zeros(1, 4, 3)
    X[0, 0] = 1
    moments = RunningMoments(values[:, :, 0])
    add(moments, values, torch.tensor([True]))
    assert float(moments.uncertainty(X)) == 1 / 3
    assert float(moments.uncertainty(0 * X)) == 0
