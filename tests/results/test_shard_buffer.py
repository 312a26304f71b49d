from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.results.shard_buffer import ShardBuffer


@given(st.permutations(range(7)), st.lists(st.integers(0, 7), max_size=3))
def test_rows_in_any_order(order, cuts):
    shard = ShardBuffer(range(20, 27))
    values = np.arange(14.0).reshape(7, 2)
    for part in np.split(np.array(order), sorted(cuts)):
        shard.add(part + 20, {"y": values[part], "z": part})
    assert shard.full
    assert shard.arrays["y"].tolist() == values.tolist()
    assert shard.arrays["z"].tolist() == list(range(7))


def test_it_is_full_when_all_are_there():
    shard = ShardBuffer(range(3))
    shard.add(np.array([0, 2]), {"y": np.zeros(2)})
    assert not shard.full
    shard.add(np.array([1]), {"y": np.zeros(1)})
    assert shard.full


@pytest.mark.parametrize("ids", [[1, 2], [1, 1], [0]])
def test_a_row_that_comes_twice(ids):
    shard = ShardBuffer(range(4))
    shard.add(np.array([0, 2]), {"y": np.zeros(2)})
    with pytest.raises(sl.InputError, match="came twice"):
        shard.add(np.array(ids), {"y": np.zeros(len(ids))})


def test_arrays_that_differ_from_those_before():
    shard = ShardBuffer(range(3))
    shard.add(np.array([0, 2]), {"y": np.zeros(2)})
    with pytest.raises(sl.InputError, match="a batch has z and one before y"):
        shard.add(np.array([1]), {"z": np.zeros(1)})
    for bad in (np.zeros(2), np.zeros((1, 3)), np.zeros(1, np.float32)):
        with pytest.raises(sl.InputError, match=r"expected \(1,\) float64, a row for each"):
            shard.add(np.array([1]), {"y": bad})
