"""Hypothetical attributions as a custom_attribution_func of Captum's classes."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import InputError


def test_hypothetical_attributions_are_those_of_deep_lift_shap():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2)).double()
    X = sl.random_one_hot((3, 4, 20), random_state=0).double()
    shuffled = sl.dinucleotide_shuffle(X[:1], n=6, random_state=0)[0]
    found = sl.DeepLiftShap(model).attribute(X, shuffled, 1, custom_attribution_func=sl.hypothetical_attributions)
    wanted = sl.deep_lift_shap(
        model, X, references=shuffled.expand(3, 6, 4, 20), target=1, hypothetical=True, device="cpu"
    )
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-13)


ONE = torch.zeros(2, 4, 5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((ONE,), (ONE,), ()), "1 multipliers, 1 inputs, 0 baselines: expected tuples of the same length"),
        ((ONE, ONE, ONE), r"multipliers is a Tensor: expected a tuple of tensors; pass \(multipliers,\)\."),
        (((ONE,), (ONE.numpy(),), (ONE,)), r"inputs\[0\] is a numpy.ndarray: .*from_numpy\(inputs\[0\]\)"),
        (((ONE,), (ONE,), (ONE[0],)), r"baselines\[0\] has shape \(4, 5\): expected \(pairs, letters, positions\)"),
        (((ONE,), (ONE,), (ONE[..., 1:],)), r"inputs\[0\] \(2, 4, 5\), baselines\[0\] \(2, 4, 4\): expected one shape"),
    ],
)
def test_unusable_arguments_raise(given, message):
    with pytest.raises(InputError, match=message):
        sl.hypothetical_attributions(*given)
