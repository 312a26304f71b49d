"""Every tensor that tutorial A2 prints."""

import pytest
import torch

from seqlight import predict, random_one_hot


class FlattenDense(torch.nn.Module):
    def __init__(self, length=10):
        super().__init__()
        self.dense = torch.nn.Linear(length * 4, 3)

    def forward(self, X, alpha=0, beta=1):
        return self.dense(X.reshape(X.shape[0], -1)) * beta + alpha


PLAIN = [
    [-0.3154, -0.1625, -0.3183],
    [-0.0866, 0.5461, -0.0244],
    [0.3089, -0.2828, -0.1485],
    [0.1671, -0.1341, -0.3094],
    [-0.0627, 0.0088, 0.3471],
]


@pytest.fixture
def X():
    return random_one_hot((5, 4, 10), random_state=0).float()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return FlattenDense()


def normal(seed, *shape):
    torch.manual_seed(seed)
    return torch.randn(*shape)


def printed(y, expected):
    assert y.shape == (5, 3)
    assert not y.requires_grad
    assert y.device.type == "cpu"
    # As PyTorch prints it, to four digits.
    assert [[f"{value:.4f}" for value in row] for row in y.tolist()] == [
        [f"{value:.4f}" for value in row] for row in expected
    ]


@pytest.mark.parametrize("settings", [{"batch_size": 2}, {"batch_size": 100}, {"device": "cpu"}, {}])
def test_predict(model, X, settings):
    printed(predict(model, X, **settings), PLAIN)


def test_one_more_input(model, X):
    expected = [
        [1.2256, 1.3785, 1.2227],
        [-0.3800, 0.2527, -0.3178],
        [-1.8699, -2.4616, -2.3273],
        [0.7355, 0.4344, 0.2591],
        [-1.1472, -1.0757, -0.7374],
    ]
    printed(predict(model, X, args=(normal(0, 5, 1),)), expected)


def test_two_more_inputs(model, X):
    expected = [
        [1.3324, 1.4336, 1.3305],
        [-0.3165, -0.1477, -0.2999],
        [-2.1597, -2.1962, -2.1879],
        [0.6723, 0.4851, 0.3762],
        [-1.0562, -1.0885, -1.2414],
    ]
    printed(predict(model, X, args=(normal(0, 5, 1), normal(1, 5, 1))), expected)


def test_a_wider_input(model, X):
    expected = [
        [1.2256, -0.4559, -2.4970],
        [0.4818, -0.5384, -1.4230],
        [0.7123, 0.5552, -0.8678],
        [-0.2362, -0.7307, -0.1273],
        [-0.9193, 1.1094, -0.7241],
    ]
    printed(predict(model, X, args=(normal(0, 5, 3),)), expected)
