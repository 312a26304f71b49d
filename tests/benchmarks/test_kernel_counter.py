"""What the counter of kernels counts, and what it does not."""

import torch
from kernel_counter import KernelCounter


def test_a_kernel_reads_its_inputs_once_and_writes_its_outputs():
    x, row = torch.ones(8, 4), torch.ones(4)
    with KernelCounter() as counter:
        y = x + row.expand(8, 4)
        y.mul_(y)
    assert counter.launches == {"add": 1, "mul_": 1}
    assert counter.bytes == {"add": 4 * (32 + 4 + 32), "mul_": 4 * (32 + 32)}


def test_views_launch_nothing_and_a_wait_moves_nothing():
    x = torch.ones(8, 4)
    with KernelCounter() as counter:
        x.mT.reshape(2, 16)[1, 2].item()
        torch.empty_like(x)
        x.zero_()
    assert counter.launches == {"_local_scalar_dense": 1, "zero_": 1, "clone": 1}
    assert counter.bytes == {"_local_scalar_dense": 0, "zero_": 128, "clone": 256}


def test_the_backward_pass_counts():
    x = torch.ones(8, 4, requires_grad=True)
    with KernelCounter() as counter:
        x.relu().sum().backward()
    assert counter.launches["threshold_backward"] == 1
