"""What modes let pass unseen is no tensor, and writes to none."""

import torch
from torch import Tensor

from seqlight.attribution.calls.metadata import METADATA


def test_none_returns_a_tensor():
    x = torch.ones(2, 3, requires_grad=True)
    for function in METADATA:
        found = function(x)
        assert not isinstance(found, Tensor), function
        assert not (isinstance(found, tuple | list) and any(isinstance(one, Tensor) for one in found))


def test_attributes_are_met_as_a_mode_meets_them():
    assert {Tensor.shape.__get__, Tensor.requires_grad.__get__, Tensor.dim} <= METADATA
    assert not {Tensor.data.__get__, Tensor.grad.__get__, Tensor.T.__get__, Tensor.data_ptr} & METADATA
