"""An index that is no whole number is refused, whichever target it is given to."""

import numpy as np
import pytest
import torch

from seqlight.errors import InputError
from seqlight.targets import Column
from seqlight.targets.output_entries import as_table, read_entry

Y = torch.arange(8.0).view(2, 2, 2)


@pytest.mark.parametrize("index", [True, [1], "1", 1.0, None, (1, 0.0), (True, 0), torch.tensor([1])])
def test_no_index(index):
    with pytest.raises(InputError, match="expected a whole number, or a tuple of whole numbers"):
        Column(index)(Y)


@pytest.mark.parametrize("index", [(1, 0), (np.int64(1), np.uint8(0)), (torch.tensor(1), -2)])
def test_places(index):
    assert torch.equal(read_entry(index, Y), torch.tensor([2.0, 6.0]))


@pytest.mark.parametrize("index", [1, -1, np.int32(1), np.array(1)])
def test_columns(index):
    assert torch.equal(read_entry(index, Y[:, 0]), torch.tensor([1.0, 5.0]))
    assert torch.equal(read_entry(index, Y[:, :, :1]), torch.tensor([2.0, 6.0]))


def test_an_output_without_rows_is_told():
    with pytest.raises(InputError, match=r"shape \(\): expected \(rows, targets\); return a number for each row from"):
        as_table(torch.tensor(1.0), 2)
