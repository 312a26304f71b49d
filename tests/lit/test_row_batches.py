from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, Subset, TensorDataset

import seqlight as sl
from seqlight.lit.row_batches import NumberedRows, RowBatch, ShardBatchSampler, model_inputs

X, Y = torch.arange(30.0).reshape(10, 3), torch.arange(10)


class Pairs(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, i):
        return X[i], Y[i]


@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 15), st.integers(1, 4), st.randoms(use_true_random=False))
def test_every_row_once_whatever_the_number_of_processes(rows, size, batch_size, world, random):
    shards = -(-rows // size)
    one = list(ShardBatchSampler(rows, size, batch_size, range(shards)))
    assert [i for batch in one for i in batch] == list(range(rows))
    assert all(batch[0] // size == batch[-1] // size and len(batch) <= batch_size for batch in one)
    todo = list(range(shards))
    random.shuffle(todo)
    parts = [ShardBatchSampler(rows, size, batch_size, todo[rank::world]) for rank in range(world)]
    # The same batches, not only the same rows, so that results are equal to the last bit.
    assert sorted(one, key=str) == sorted((batch for part in parts for batch in part), key=str)
    assert [len(part) for part in parts] == [len(list(part)) for part in parts]
    assert sum(part.rows_to_do() for part in parts) == rows


@pytest.mark.parametrize(
    ("data", "several"),
    [
        (X, False),
        (X.numpy(), False),
        ((X, Y), True),
        ([X.numpy(), Y], True),
        (TensorDataset(X, Y), True),
        (Pairs(), True),
        (Subset(Pairs(), range(10)), True),
        (DataLoader(Pairs(), batch_size=4), True),
    ],
)
def test_batches_of_any_data_have_row_numbers(data, several):
    rows = NumberedRows(data)
    assert len(rows) == 10
    batch = rows[range(3, 7)]
    assert isinstance(batch, RowBatch)
    assert batch.ids.tolist() == [3, 4, 5, 6]
    assert torch.equal(model_inputs(batch, 1)[0], X[3:7])
    if several:
        assert torch.equal(model_inputs(batch, 2)[1], Y[3:7])


def test_the_collate_of_a_loader_is_used():
    rows = NumberedRows(DataLoader(Pairs(), collate_fn=lambda items: torch.stack([x + 1 for x, _ in items])))
    assert torch.equal(rows[range(2)].entries, X[:2] + 1)


def test_read_only_arrays_and_files(tmp_path):
    np.save(tmp_path / "x.npy", X.numpy())
    rows = NumberedRows(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert torch.equal(rows[range(4, 6)].entries[0], X[4:6])


def test_data_that_cannot_be_indexed():
    class Stream(IterableDataset):
        def __iter__(self):
            yield 1

    for data in (Stream(), DataLoader(Stream()), iter([1]), 3):
        with pytest.raises(sl.InputError, match=r"cannot be indexed by number|draws its rows by"):
            NumberedRows(data)
    for loader in (DataLoader(Pairs(), shuffle=True), DataLoader(Pairs(), sampler=RandomSampler(Pairs()))):
        with pytest.raises(sl.InputError, match=r"draws its rows by a RandomSampler: .*torch\.utils\.data\.Subset"):
            NumberedRows(loader)
    with pytest.raises(sl.InputError, match=r"have \[10, 9\] rows"):
        NumberedRows((X, Y[1:]))
    with pytest.raises(sl.InputError, match="a tuple with something other than arrays"):
        NumberedRows((X, "labels"))


def test_batches_with_too_few_tensors():
    assert torch.equal(model_inputs(X, 1)[0], X)
    for batch, n in ((X, 2), ((X,), 2), ((X, "a"), 2), ("a", 1)):
        with pytest.raises(sl.InputError, match=f"expected {n} tensors or more"):
            model_inputs(batch, n)
    with pytest.raises(sl.InputError, match=r"a dict of 'X', 'y': expected a tensor, or a tuple"):
        model_inputs(RowBatch(np.arange(2), {"X": X, "y": Y}), 1)
