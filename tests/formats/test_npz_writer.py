import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqlight.formats.npz_writer import ArrayBlocks, write_npz


@given(
    array=arrays(st.sampled_from([np.float32, np.int8, np.float64]), st.tuples(st.integers(0, 9), st.integers(0, 4))),
    size=st.integers(1, 5),
)
def test_blocks_are_one_array(array, size, tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    blocks = (array[i : i + size] for i in range(0, len(array), size))
    write_npz(path, {"x": ArrayBlocks(array.shape, array.dtype, blocks), "y": array})
    with np.load(path) as found:
        np.testing.assert_array_equal(found["x"], array)
        np.testing.assert_array_equal(found["y"], array)
        assert found["x"].dtype == array.dtype


def test_blocks_that_are_not_what_was_said(tmp_path):
    for blocks, says in (
        ([np.zeros((2, 3))], "have 2 rows: expected 4"),
        ([np.zeros((4, 2))], r"shape \(4, 2\)"),
        ([np.zeros((4, 3), np.float32)], "float32"),
    ):
        with pytest.raises(ValueError, match=says):
            write_npz(tmp_path / "a.npz", {"x": ArrayBlocks((4, 3), np.dtype(float), blocks)})
    assert not list(tmp_path.iterdir())
