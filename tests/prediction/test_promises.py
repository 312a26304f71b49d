"""What predict does not change: the model, the global state and the input; and the memory that it takes."""

import random
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import seqlight as sl

pytestmark = pytest.mark.accelerator

SOURCES = {
    "tensor": lambda X, size: X,
    "dataset": lambda X, size: TensorDataset(X),
    "loader": lambda X, size: DataLoader(X, batch_size=size),
}


class Model(nn.Module):
    """Has batch normalisation and dropout, and writes to a buffer even in evaluation mode."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 3, 3, padding=1)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, X):
        self.seen += len(X)
        return self.drop(self.norm(self.conv(X)).relu())


class Reusing(nn.Module):
    """Returns the same memory for each batch."""

    def __init__(self):
        super().__init__()
        self.out = torch.zeros(2, 3)

    def forward(self, X):
        return self.out.copy_(X.sum(dim=2)[:, :3])


@pytest.mark.parametrize("source", list(SOURCES))
def test_results_do_not_share_memory_with_the_model(source):
    X = sl.random_one_hot((6, 4, 9), random_state=0)
    model = Reusing()
    found = sl.predict(model, SOURCES[source](X, 2), batch_size=2)
    model.out.fill_(99)
    assert torch.equal(found, X.sum(dim=2)[:, :3].float())


def test_results_do_not_share_memory_with_the_input():
    X = torch.zeros(3, 4, 5)
    found = sl.predict(nn.Identity(), X)
    found += 1
    assert not X.any()


def test_gradients_are_off_and_stay_off():
    X = torch.rand(3, 4, 6, requires_grad=True)
    grads = []

    class Asking(nn.Module):
        def forward(self, X):
            grads.append(torch.is_grad_enabled())
            with torch.enable_grad():
                return (X.detach().requires_grad_() * 2).sum(dim=2)

    assert not sl.predict(Asking(), X).requires_grad
    assert grads
    assert not any(grads)
    assert X.grad is None


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_results_are_the_same_in_every_gradient_mode(context):
    X = sl.random_one_hot((5, 4, 6), random_state=0)
    model = Model()
    with context():
        found = sl.predict(model, X)
    model.eval()
    torch.testing.assert_close(found.clone(), model(X.float()))
    assert all(p.requires_grad and not p.is_inference() for p in model.parameters())
    model(X.float()).sum().backward()


class Breaking(Model):
    def forward(self, X):
        y = super().forward(X)
        random.random(), np.random.rand(), torch.rand(1)
        if X[0, 0, 0] > 1:
            raise ArithmeticError("in the middle")
        return y


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("where", [None, 0, 5])
def test_the_model_and_the_global_state_are_restored(dtype, where):
    model = Breaking()
    model.norm.eval()
    model.conv.bias.requires_grad_(False)
    model.conv.weight.grad = torch.ones_like(model.conv.weight)
    model.conv.register_forward_hook(lambda *_: None)
    X = torch.rand(9, 4, 6)

    def state():
        return (
            [(name, value.tolist()) for name, value in model.state_dict().items()],
            [(id(p), p.data_ptr(), p.dtype, p.requires_grad, id(p.grad)) for p in model.parameters()],
            [(id(b), b.data_ptr()) for b in model.buffers()],
            [(m.training, list(m._forward_hooks)) for m in model.modules()],
            (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),
            (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")),
        )

    if where is not None:
        X[where, 0, 0] = 2
    for source in ("tensor", "loader"):
        before = state()
        if where is None:
            sl.predict(model, SOURCES[source](X, 2), dtype=dtype, batch_size=2)
        else:
            with pytest.raises(ArithmeticError, match="in the middle"):
                sl.predict(model, SOURCES[source](X, 1), dtype=dtype, batch_size=1)
        assert state() == before


def test_a_loader_that_shuffles_does_not_advance_the_global_generator():
    before = torch.get_rng_state()
    sl.predict(Model(), DataLoader(torch.rand(9, 4, 6), batch_size=2, shuffle=True))
    assert torch.equal(torch.get_rng_state(), before)


MEMORY = """
import resource, torch
import seqlight as sl

class Wide(torch.nn.Module):
    def forward(self, X):
        return X.sum(dim=(1, 2))[:, None].expand(-1, 50_000) + 1

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

class Rows(torch.utils.data.Dataset):
    def __len__(self): return 2000
    def __getitem__(self, i): return X[i]

X = torch.ones(2000, 4, 8)
source = {source}
sl.predict(Wide(), X[:20], batch_size=20)
before = peak()
y = sl.predict(Wide(), source, batch_size=20)
megabytes = y.numel() * y.element_size() / 2**20
print(peak() - before, megabytes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
@pytest.mark.parametrize("source", ["X", "Rows()", "torch.utils.data.DataLoader(Rows(), batch_size=20)"])
def test_memory_holds_one_copy_of_the_result(source, python):
    done = python("-c", MEMORY.format(source=source))
    grown, size = map(float, done.stdout.split())
    assert size > 350
    assert grown < size + 60
