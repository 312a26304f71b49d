"""What devices say of their memory, with stand-ins for their modules, and what errors say that it ran out."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.prediction.device_memory import (
    MemoryReading,
    is_out_of_memory,
    is_too_large,
    read_memory,
    release_memory,
)

counts = st.integers(0, 10**12)


def cuda(free=600, total=1000, live=100, reserved=150, peak=120, **more):
    stats = {
        "allocated_bytes.all.current": live,
        "allocated_bytes.all.peak": peak,
        "allocated_bytes.all.allocated": 5 * peak,
        "reserved_bytes.all.current": reserved,
    }
    return SimpleNamespace(mem_get_info=lambda device: (free, total), memory_stats=lambda device: stats, **more)


def test_what_the_allocator_holds_and_nobody_uses_is_free(monkeypatch):
    monkeypatch.setattr(torch, "cuda", cuda())
    assert read_memory(torch.device("cuda", 1)) == MemoryReading(free=650, live=100, peak=120, allocated=600)


def test_a_process_that_may_take_a_fraction_has_less(monkeypatch):
    monkeypatch.setattr(torch, "cuda", cuda(get_per_process_memory_fraction=lambda device: 0.4))
    assert read_memory(torch.device("cuda")).free == 300
    monkeypatch.setattr(torch, "cuda", cuda(get_per_process_memory_fraction=lambda device: 0.05))
    assert read_memory(torch.device("cuda")).free == 0


def test_a_mac_tells_what_its_driver_gave(monkeypatch):
    mps = SimpleNamespace(
        current_allocated_memory=lambda: 30, driver_allocated_memory=lambda: 80, recommended_max_memory=lambda: 1000
    )
    monkeypatch.setattr(torch, "mps", mps)
    assert read_memory(torch.device("mps")) == MemoryReading(free=970, live=30, peak=80)


@pytest.mark.parametrize("device", ["cpu", "meta", "hpu"])
def test_devices_that_do_not_tell(device):
    assert read_memory(torch.device(device)) is None
    release_memory(torch.device(device))


def test_a_driver_that_does_not_answer(monkeypatch):
    def refuse(device):
        raise RuntimeError("The device does not support querying the available free memory.")

    monkeypatch.setattr(torch, "xpu", SimpleNamespace(mem_get_info=refuse, memory_stats=refuse))
    assert read_memory(torch.device("xpu")) is None


def test_what_the_allocator_holds_is_given_back(monkeypatch):
    called = []
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(empty_cache=lambda: called.append(True)))
    release_memory(torch.device("cuda"))
    assert called == [True]


@given(live=counts, earlier=counts, batch=counts, freed=counts)
def test_what_was_used_is_never_underestimated(live, earlier, batch, freed):
    before = MemoryReading(0, live, max(live, earlier), allocated=earlier)
    after = MemoryReading(0, live, max(before.peak, live + batch), allocated=earlier + batch + freed)
    assert before.used_until(after) >= batch
    if live + batch > before.peak:
        assert before.used_until(after) == batch


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.00 GB, other allocations: 1.00 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_errors_that_say_that_memory_ran_out(error):
    assert is_out_of_memory(error)
    assert is_too_large(error)


def test_what_the_cpu_says_when_memory_runs_out():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8, device="cpu")
    assert is_out_of_memory(caught.value)


def test_errors_that_may_be_about_the_size_of_a_batch():
    error = RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if ...")
    assert is_too_large(error)
    assert not is_out_of_memory(error)
    assert not is_too_large(ValueError("CUDNN_STATUS_NOT_SUPPORTED"))
    assert not is_too_large(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
