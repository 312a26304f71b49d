"""The size of a batch: how much fits, what is learned from a batch, and what happens when memory runs out."""

import gc
import weakref
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.errors import InputError, MemoryWarning, OutOfMemory
from seqlight.prediction import batch_size
from seqlight.prediction.batch_size import MOST_ROWS, SHARE, BatchSize, require_batch_size, rows_that_fit
from small_memory import OUT_OF_MEMORY
from small_memory import _small_memory as _small_memory

CPU = torch.device("cpu")
sizes = st.integers(1, 10**12)


@given(free=st.integers(0, 10**13), used=sizes, rows=st.integers(1, 5000), most=st.integers(1, 5000))
def test_a_batch_that_is_said_to_fit_does(free, used, rows, most):
    found = rows_that_fit(free, used, rows, most)
    assert 1 <= found <= most
    assert found in (most, 1 << found.bit_length() - 1)
    assert found == 1 or found * used <= SHARE * free * rows * (1 + 1e-9)
    # Half as many rows as fit are never wasted.
    assert found == most or 2 * found * used > SHARE * free * rows * (1 - 1e-9) - used


@given(free=st.integers(0, 10**12), more=st.integers(0, 10**12), used=sizes, rows=st.integers(1, 5000))
def test_more_memory_never_means_fewer_rows(free, more, used, rows):
    assert rows_that_fit(free, used, rows) <= rows_that_fit(free + more, used, rows)
    assert rows_that_fit(free, used + more, rows) <= rows_that_fit(free, used, rows)


@given(rows=st.integers(0, 300), room=st.integers(1, 300), asked=st.integers(1, 300))
def test_every_row_is_computed_once_in_order_whatever_fits(rows, room, asked):
    size = BatchSize(asked, CPU)

    def compute(first, last):
        if last - first > room:
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        return list(range(first, last))

    with mock.patch.object(batch_size, "release_memory"):  # which takes long
        found = list(size.parts(0, rows, compute))
    assert [row for part, _ in found for row in part] == list(range(rows))
    assert all(len(part) == n <= min(asked, room) for part, n in found)
    assert size.rows == asked or 2 * size.rows + 1 > room


def test_slices_follow_the_size():
    size, found = BatchSize(4, CPU), []
    for one in size.slices(range(10)):
        found.append(list(one))
        size.rows = 2
    assert found == [[0, 1, 2, 3], [4, 5], [6, 7], [8, 9]]
    assert [one.tolist() for one in size.slices(torch.arange(3))] == [[0, 1], [2]]


@pytest.mark.reliability(
    "accelerators",
    "a batch_size that nobody chose, on a device that reports its memory",
    "what few rows take decides how many fit; 32 on the CPU, as ever",
)
def test_the_size_is_learned_from_the_first_batch(small_memory):
    assert BatchSize("auto", CPU).rows == 32
    assert BatchSize("auto", CPU, otherwise=256).rows == 256
    memory = small_memory(1000)
    size = BatchSize("auto", CPU, otherwise=256)
    assert [n for _, n in size.parts(0, 1100, lambda first, last: memory.hold(last - first))] == [32, 512, 512, 44]


def test_more_is_learned_from_a_larger_batch(small_memory):
    memory = small_memory(10_000)
    memory.peak = 40_000  # the user's, from before: as much as 400 rows hides what 32 take
    size = BatchSize("auto", CPU)
    found = [n for _, n in size.parts(0, 5000, lambda first, last: memory.hold(last - first))]
    assert found[:3] == [32, 256, MOST_ROWS]
    assert memory.peak == 100 * MOST_ROWS


def test_a_full_device_keeps_the_first_size(small_memory):
    memory = small_memory(40)
    size = BatchSize("auto", CPU)
    assert [n for _, n in size.parts(0, 80, lambda first, last: memory.hold(last - first))] == [32, 32, 16]
    assert not size.learns


def test_a_batch_of_few_rows_does_not_end_the_learning(small_memory):
    memory = small_memory(1000)
    size = BatchSize("auto", CPU)

    def compute(first, last):
        memory.hold(900 if last - first < 10 else last - first)  # as if most of it were for something else

    assert [n for _, n in size.parts(0, 3, compute)] == [3]
    assert (size.rows, size.learns) == (32, True)
    memory.peak = 0
    assert [n for _, n in size.parts(0, 1000, compute)] == [32, 512, 456]


def test_a_size_that_is_given_is_not_learned(small_memory):
    memory = small_memory(1000)
    size = BatchSize(8, CPU)
    assert [n for _, n in size.parts(0, 20, lambda first, last: memory.hold(last - first))] == [8, 8, 4]


def test_a_size_that_ran_out_is_not_tried_again(small_memory):
    memory = small_memory(9)
    size, found = BatchSize("auto", CPU), []
    for _ in range(2):
        found += [n for _, n in size.parts(0, 20, lambda first, last: memory.hold(last - first))]
    assert found == [5, 5, 5, 5] * 2
    assert memory.released == 2  # for 20 rows, then 10


def test_nothing_of_the_failed_batch_is_alive_when_the_next_one_begins():
    size, alive = BatchSize(2, CPU), []

    def compute(first, last):
        assert [one for one in alive if one() is not None] == []
        activation = torch.zeros(last - first)
        activation.cycle = [activation]
        alive.append(weakref.ref(activation))
        if last - first > 1:
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        del activation.cycle
        return first

    gc.disable()
    try:
        assert [one for one, _ in size.parts(0, 2, compute)] == [0, 1]
    finally:
        gc.enable()


def test_results_are_not_kept():
    size, alive = BatchSize(1, CPU), []

    def compute(first, last):
        assert [one for one in alive if one() is not None] == []
        result = torch.zeros(1)
        alive.append(weakref.ref(result))
        return result

    for result, _ in size.parts(0, 3, compute):
        assert result is alive[-1]()
        del result


@pytest.mark.reliability(
    "accelerators",
    "a single row that does not fit into memory",
    "one sentence that says what to do, also for callers that expect torch.OutOfMemoryError",
)
@pytest.mark.parametrize("kind", [OutOfMemory, sl.SeqlightError, torch.OutOfMemoryError, RuntimeError])
def test_a_single_row_that_does_not_fit(kind):
    def compute(first, last):
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    expected = r"^cpu has no room for a single row of a batch \(CUDA out of memory\. .*\): expected .*; use .*\.$"
    with pytest.raises(kind, match=expected) as caught:
        list(BatchSize(8, CPU).parts(0, 8, compute))
    assert caught.value.__cause__ is caught.value.__context__ is None  # whose frames would keep the tensors alive


def test_other_errors_are_raised_as_they_are():
    calls = []

    def compute(first, last):
        calls.append(last - first)
        raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED")

    with pytest.raises(RuntimeError, match=r"^cuDNN error: CUDNN_STATUS_NOT_SUPPORTED$"):
        list(BatchSize(4, CPU).parts(0, 8, compute))
    assert calls == [4, 2, 1]
    with pytest.raises(ZeroDivisionError):
        list(BatchSize(4, CPU).parts(0, 8, lambda first, last: 1 / 0))


def test_one_warning_names_the_size_that_worked(small_memory):
    memory = small_memory(5)
    size = BatchSize(16, CPU)
    list(size.parts(0, 32, lambda first, last: memory.hold(last - first)))
    with pytest.warns(MemoryWarning, match=r"^a batch of 16 rows .* cpu has: 4 at a time .* batch_size=4 or") as one:
        size.warn_if_reduced(stacklevel=1)
    assert one[0].filename == __file__
    size.warn_if_reduced(stacklevel=1)


def test_a_learned_size_that_ran_out_is_no_news(small_memory):
    memory = small_memory(5)
    size = BatchSize("auto", CPU)
    list(size.parts(0, 32, lambda first, last: memory.hold(last - first)))
    size.warn_if_reduced(stacklevel=1)
    assert size.rows == 4


@pytest.mark.parametrize(
    ("asked", "message"),
    [("many", "batch_size is 'many': expected a number or 'auto'"), (0, "batch_size is 0"), (2.0, "batch_size is 2.0")],
)
def test_what_is_no_size(asked, message):
    with pytest.raises(InputError, match=message):
        require_batch_size(asked)


def test_batches_of_others_go_through_whole():
    size = BatchSize(None, CPU)
    assert [n for _, n in size.parts(0, 10_000, lambda first, last: None)] == [10_000]
