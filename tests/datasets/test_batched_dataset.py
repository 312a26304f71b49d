import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import seqlight as sl
from seqlight.datasets import ArrayDataset
from seqlight.datasets.batched_dataset import BatchedDataset


class Echo(BatchedDataset):
    """Rows that say which they are, and how they were read."""

    augments = True

    def __init__(self):
        self.reads = []

    def __len__(self):
        return 10

    def read(self, rows, epochs):
        self.reads.append(len(rows))
        return torch.from_numpy(rows), torch.from_numpy(epochs)

    def fingerprint(self):
        return "echo"


def test_rows_and_epochs():
    dataset = Echo()
    assert dataset[3] == (3, 0)
    assert dataset[-1] == (9, 0)
    assert dataset[3, 7] == (3, 7)
    dataset.set_epoch(4)
    assert dataset[3] == (3, 4)
    assert dataset[3, 7] == (3, 7)
    assert dataset[np.int64(2)] == (2, 4)
    assert dataset.__getitems__([1, -2]) == [(1, 4), (8, 4)]
    assert dataset.__getitems__([(1, 2), (-2, 3)]) == [(1, 2), (8, 3)]
    assert [int(row) for row, _ in dataset] == list(range(10))


def test_a_loader_reads_batches():
    dataset = Echo()
    loader = DataLoader(dataset, batch_size=4, generator=torch.Generator())
    assert torch.cat([rows for rows, _ in loader]).tolist() == list(range(10))
    assert dataset.reads == [4, 4, 2]


def test_bad_rows():
    with pytest.raises(IndexError, match="row 10 of 10"):
        Echo()[10]
    with pytest.raises(IndexError, match="row -11 of 10"):
        Echo().batch([0, -11])
    with pytest.raises(sl.InputError, match=r"rows has shape \(1, 3\)"):
        Echo()[1, 2, 3]
    with pytest.raises(sl.InputError, match="epoch is -1"):
        Echo().set_epoch(-1)


def test_one_tensor_is_no_tuple():
    dataset = ArrayDataset(torch.arange(6).reshape(3, 2))
    assert dataset[1].tolist() == [2, 3]
    assert [one.tolist() for one in dataset.__getitems__([0, 2])] == [[0, 1], [4, 5]]


def test_a_slice_is_a_batch():
    dataset = ArrayDataset(torch.arange(6).reshape(3, 2))
    assert dataset[:2].tolist() == [[0, 1], [2, 3]]
    assert dataset[::-2].tolist() == [[4, 5], [0, 1]]
    assert dataset[5:].shape == (0, 2)
    echo = Echo()
    echo.set_epoch(4)
    rows, epochs = echo[-3:]
    assert (rows.tolist(), epochs.tolist()) == ([7, 8, 9], [4, 4, 4])
