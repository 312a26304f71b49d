"""Triton is loaded when a kernel runs on an accelerator, and where it fails plain PyTorch takes its place."""

import warnings

import pytest
import torch
from torch import nn

import seqlight as sl
from multipliers import only_kernels, plain_rules
from seqlight.attribution.kernels import table
from seqlight.attribution.kernels.table import Kernel, kernel_for
from seqlight.attribution.kernels.triton import backend
from seqlight.errors import KernelWarning
from triton_interpreter import interpreted_kernels, needs_interpreter


class Network(nn.Module):
    """Convolutions with activations that have kernels, with one that is in place, and with one that has no slope."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv1d(4, 3, 5, padding=2), nn.Conv1d(3, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        h = nn.functional.max_pool1d(nn.functional.relu(self.first(x)), 2)
        h = nn.functional.gelu(h) + nn.functional.softplus(self.second(h), beta=2)
        return self.head(nn.functional.relu(h - 0.5, inplace=True).mean(-1).exp())


def attribute(device):
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    return sl.deep_lift_shap(Network().eval(), X, random_state=0, n_shuffles=2, device=device)


@needs_interpreter
def test_an_attribution_through_kernels():
    with plain_rules():
        expected = attribute("cpu")
    with interpreted_kernels():
        found = attribute("cpu")
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


@needs_interpreter
@pytest.mark.reliability(
    "accelerators",
    "an attribution on a device through the kernels in Triton",
    "each of them runs there, and the attributions are those of the CPU",
)
def test_an_attribution_through_kernels_on_a_device(monkeypatch, pretend):
    used = set()
    run = backend.TritonKernel.__call__

    def note(kernel, *args, **kwargs):
        found = run(kernel, *args, **kwargs)
        used.update([] if found is None else [kernel.step])
        return found

    monkeypatch.setattr(backend.TritonKernel, "__call__", note)
    with plain_rules():
        expected = attribute("cpu")
    with interpreted_kernels("pretend"):
        found = attribute("pretend")
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert used >= {f"elementwise.{one}" for one in ("relu_vjp", "rescale_vjp")}
    assert used >= {"smooth_activations.rescale_vjp", "pooling.max_pool", "pooling.max_pool_vjp"}


def test_the_table_serves_accelerators(monkeypatch):
    monkeypatch.setattr(backend, "is_available", lambda: True)
    with only_kernels(*table.in_triton("elementwise.secant", table.SINGLE)):
        for device in ("cuda", "xpu"):
            assert kernel_for("elementwise.secant", device, torch.float32).step == "elementwise.secant"
            assert kernel_for("elementwise.secant", device, torch.float64) is None
        assert kernel_for("elementwise.secant", "mps", torch.float32) is None


def test_an_import_that_fails_counts_as_none(monkeypatch):
    def fail(name):
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(backend, "import_module", fail)
    assert not backend.is_available.__wrapped__()


@pytest.mark.reliability(
    "accelerators",
    "a kernel that cannot be compiled on this machine",
    "one warning that says why; plain operations of PyTorch return the same attributions",
)
def test_a_kernel_that_fails_gives_up(monkeypatch):
    monkeypatch.setattr(backend, "_reasons", set())
    calls = []

    def fail(*_, **__):
        calls.append(1)
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable.")

    kernel = backend.TritonKernel("elementwise.relu_vjp")
    monkeypatch.setattr(kernel, "_function", fail)
    with plain_rules():
        expected = attribute("cpu")
    with only_kernels(Kernel(kernel.step, kernel, "cpu", table.REAL, lambda: True)):
        with pytest.warns(KernelWarning, match=r"elementwise.relu_vjp here \(RuntimeError: Failed to find C comp") as w:
            found = attribute("cpu")
        assert len(w) == len(calls) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert torch.equal(attribute("cpu"), found)
            other = backend.TritonKernel("pooling.max_pool")
            monkeypatch.setattr(other, "_function", fail)
            assert other() is None  # for the same reason, which was said
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_a_device_without_memory_is_no_failure(monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    kernel = backend.TritonKernel("elementwise.relu_vjp")
    monkeypatch.setattr(kernel, "_function", fail)
    with pytest.raises(torch.OutOfMemoryError):
        kernel(1)
    assert not kernel.failed


class ExtraRow(nn.Module):
    """Adds a row to the batch, so that references have no sequences of their own until each is recorded with one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv1d(4, 3, 5), nn.Linear(48, 1)

    def forward(self, x):
        h = self.first(x)
        return self.last(torch.cat([h, h[:1]]).softmax(-1).flatten(1))[: len(x)]


@needs_interpreter
@pytest.mark.reliability(
    "accelerators",
    "a kernel in Triton meets a reference whose sequence is not where it looks",
    "each is recorded with its own sequence, as on the CPU, and the kernel goes on to serve",
)
def test_a_call_that_is_refused_is_no_failure():
    X, settings = sl.random_one_hot((3, 4, 20), random_state=0), {"n_shuffles": 3, "batch_size": 6, "device": "cpu"}
    with plain_rules():
        expected = sl.deep_lift_shap(ExtraRow(), X, random_state=0, **settings)
    with interpreted_kernels():
        found = sl.deep_lift_shap(ExtraRow(), X, random_state=0, **settings)
        assert not kernel_for("softmax.softmax_multipliers", "cpu", torch.float32).failed
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
