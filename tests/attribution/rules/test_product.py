"""Gradients of products are those that autograd finds, however their operands lie in memory."""

import pytest
import torch

from seqlight.attribution.rules.product import matrix_vjp

SHAPES = {
    "matrices": ((3, 4), (4, 5)),
    "a batch": ((2, 3, 4), (2, 4, 5)),
    "heads": ((2, 3, 4, 5), (2, 3, 5, 6)),
    "no rows": ((0, 3, 4, 5), (0, 3, 5, 6)),
    "no positions": ((2, 3, 0, 5), (2, 3, 5, 0)),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_products_of_matrices(name, turned, dtype):
    torch.manual_seed(0)
    a, b = (torch.randn(shape, dtype=dtype) for shape in SHAPES[name])
    if turned:  # as heads of a wider tensor, and keys
        a, b = a.transpose(0, -2).contiguous().transpose(0, -2), b.mT.contiguous().mT
    leaves = [one.detach().requires_grad_() for one in (a, b)]
    y = leaves[0] @ leaves[1]
    grad = torch.randn(y.mT.shape, dtype=dtype).mT
    for found, wanted in zip(matrix_vjp(grad, a, b), torch.autograd.grad(y, leaves, grad), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("shapes", [((4,), (4, 5)), ((3, 4), (4,))])
def test_products_of_vectors_are_left_to_autograd(shapes):
    assert matrix_vjp(torch.ones(()), *(torch.ones(shape) for shape in shapes)) is None
