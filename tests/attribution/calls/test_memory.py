"""Tensors are identified by their memory, which views share."""

import torch

from seqlight.attribution.calls.memory import storage_address


def test_views_have_the_address_of_their_tensor():
    x = torch.zeros(3, 4)
    assert {storage_address(one) for one in (x, x[1:], x.T, x.detach())} == {storage_address(x)}
    assert storage_address(x.clone()) != storage_address(x)


def test_tensors_without_memory_are_identified_by_id():
    sparse, other = torch.eye(3).to_sparse(), torch.eye(3).to_sparse()
    assert storage_address(sparse) == storage_address(sparse)
    assert storage_address(sparse) != storage_address(other)
