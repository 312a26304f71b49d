import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.metrics.attribution_tracks import divide_by_largest, require_pair, sum_over_letters


def test_rows_of_zeros_stay_zeros():
    assert divide_by_largest(torch.zeros(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_positions_are_sums_over_letters_in_float64():
    X = torch.full((2, 4, 3), 2.0**-10, dtype=torch.bfloat16)
    X[:, 0] = 1
    assert sum_over_letters(X).tolist() == [[1 + 3 * 2.0**-10] * 3] * 2  # bfloat16 would have 1
    assert torch.equal(sum_over_letters(X[:, 0]), X[:, 0].double())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((1, 4, 5)), "attributions is a numpy.ndarray"),
        (torch.zeros(5), r"attributions has shape \(5,\)"),
        (torch.zeros(1, 4, 0), "none of them 0"),
        (torch.zeros(1, 4, 5, dtype=torch.complex64), "complex64"),
    ],
)
def test_invalid_attributions(bad, message):
    with pytest.raises(sl.InputError, match=message):
        sum_over_letters(bad)
    with pytest.raises(sl.InputError, match=r"others has shape|others is (a|of) |attributions has shape|others holds"):
        require_pair(torch.zeros(1, 4, 5), bad)
