"""What the counter of kernels counts, and what it does not."""

import pytest
import torch
from harness import read_results
from kernel_counter import KernelCounter
from torch import nn

import seqlight as sl
from triton_interpreter import needs_interpreter


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


class Network(nn.Module):
    """A layer of each kind that has a kernel."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm, self.mix = nn.Conv1d(4, 8, 3, padding=1), nn.LayerNorm(8), nn.Linear(8, 24)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        x = nn.functional.max_pool1d(self.stem(x).relu(), 2).mT
        q, k, v = self.mix(self.norm(x)).chunk(3, -1)
        return self.head(nn.functional.scaled_dot_product_attention(q, k, v).softmax(-1).tanh().mean(1))


@needs_interpreter
def test_what_is_counted_does_not_depend_on_whether_kernels_run():
    torch.manual_seed(0)
    model, X = Network().eval(), sl.random_one_hot((1, 4, 20), random_state=0)
    found = []
    for launching in (True, False):
        counter = KernelCounter()
        with counter.counting_triton(launching), counter:
            sl.deep_lift_shap(model, X, random_state=0, n_shuffles=2, device="cpu", batch_size=2)
        found.append({name: n for name, n in counter.launches.items() if name.startswith("triton")})
    assert found[0] == found[1]
    assert len(found[0]) >= 7


@pytest.mark.parametrize(
    ("model", "kernels", "megabytes"), [("bpnet-like", 160, 1700), ("basset-like", 130, 550), ("transformer", 170, 350)]
)
def test_what_a_sequence_costs_with_triton(model, kernels, megabytes):
    """What was counted last is below what was aimed at, and moves next to nothing beyond plain autograd."""
    row = read_results("kernels")["models"][model]
    assert row["triton"]["kernels"] <= min(kernels, row["before"]["kernels"] * 0.6)
    assert row["triton"]["megabytes"] <= min(megabytes, row["floor"]["megabytes"] * 1.05)
    assert row["triton"]["megabytes"] < min(row["tangermeme"]["megabytes"], row["captum"]["megabytes"])
