"""Copies of tensors of a device arrive on the CPU as they were, with one wait, whatever happens to them meanwhile."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import seqlight as sl
from seqlight.prediction import host_copies
from seqlight.prediction.host_copies import HostCopy, can_pin, overlap

DTYPES = (
    torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.int8, torch.bool, torch.complex64,
)  # fmt: skip
TENSORS = st.lists(
    st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 5), max_size=3), st.booleans()), min_size=1, max_size=6
)


def made(dtype, shape, transposed):
    one = torch.arange(torch.Size(shape).numel()).view(shape).to(dtype)
    one = one * 1j if dtype.is_complex else one
    return one.mT.conj() if transposed and one.ndim > 1 else one


@pytest.mark.reliability(
    "accelerators", "a model that returns a column of a table, called with one row", "its number, as of any other row"
)
def test_a_single_number_of_a_column(pretend):
    there = torch.arange(6.0).view(2, 3).to("pretend")
    (found,) = HostCopy([there[1:, 2]]).wait()
    assert found.tolist() == [5]
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    y = sl.predict(model, torch.ones(1, 4, 1), func=lambda y: y[:, 1], batch_size=1, device="pretend")
    torch.testing.assert_close(y, model(torch.ones(1, 4, 1))[:, 1].detach())


@pytest.mark.parametrize("switches", [{"late_copies": True}, {}])
def test_tensors_arrive_as_they_were(pretend, switches):
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(TENSORS)
    def check(kinds):
        wanted = [made(*kind) for kind in kinds]
        with pretend.switched(**switches):
            there = [one.to("pretend") for one in wanted]
            with pretend.counted() as counts:
                copy = HostCopy(there)
                for one in there:
                    if not one.is_conj():
                        one.zero_()  # as a model that writes to its output again
                arrived = copy.wait()
        assert counts.copies_to_host == 1
        assert counts.waits <= 1
        for found, one in zip(arrived, wanted, strict=True):
            assert found.dtype == one.dtype
            assert torch.equal(found, one.resolve_conj())

    check()


def test_large_tensors_are_waited_for_at_once(pretend, monkeypatch):
    monkeypatch.setattr(host_copies, "MOST_BYTES", 100)
    x = torch.arange(30.0, device="pretend")
    with pretend.switched(late_copies=True), pretend.counted() as counts:
        small, large = HostCopy([x[:10]]), HostCopy([x, x[:1]])
        x.zero_()
        assert large.wait()[0].tolist() == list(range(30))
        assert small.wait()[0].tolist() == list(range(10))
    assert counts.by_name["wait copy to host"] == 2
    assert counts.by_name["copy to host"] == 1


def test_tensors_of_the_cpu_are_not_copied():
    x = torch.ones(3, requires_grad=True)
    copy = HostCopy([x])
    assert copy.is_here
    (found,) = copy.wait()
    assert found.data_ptr() == x.data_ptr()
    assert not found.requires_grad


def test_tensors_of_several_devices_arrive_in_order(pretend):
    tensors = [torch.full((2,), float(i), device=place) for i, place in enumerate(["pretend:1", "cpu", "pretend:0"])]
    copy = HostCopy(tensors)
    assert copy.is_here  # one of them may change at once
    assert [one.tolist() for one in copy.wait()] == [[0, 0], [1, 1], [2, 2]]


def test_the_next_copy_is_on_its_way_while_one_is_awaited(pretend):
    log = []

    def copies():
        for i in range(3):
            log.append(f"launch {i}")
            yield HostCopy([torch.full((1,), i, device="pretend")]), i

    with pretend.switched(late_copies=True):
        for (one,), i in overlap(copies()):
            assert one.item() == i
            log.append(f"have {i}")
    assert log == ["launch 0", "launch 1", "have 0", "launch 2", "have 1", "have 2"]


def test_on_the_cpu_nothing_is_put_off():
    buffer, log = torch.zeros(1), []

    def copies():
        for i in range(3):
            yield HostCopy([buffer.fill_(i)]), i

    for (one,), i in overlap(copies()):
        log.append((one.item(), i))
    assert log == [(0, 0), (1, 1), (2, 2)]


def test_memory_can_be_pinned_for_devices_other_than_mps(pretend):
    assert can_pin("pretend")
    assert not can_pin("mps")
    assert not can_pin("cpu")
