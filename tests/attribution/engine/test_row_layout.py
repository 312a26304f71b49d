"""Rows are found in whichever dimension and order a model keeps them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.attribution.engine.row_layout import RowLayout, find_row_layout
from seqlight.errors import UnsupportedOperation


def merge(by_row, dimension, is_major):
    """Put the rows of a tensor (rows, entries, ...) into one dimension, in either order."""
    first = by_row if is_major else by_row.transpose(0, 1)
    return first.flatten(0, 1).movedim(0, dimension)


@given(st.integers(1, 5), st.integers(2, 4), st.integers(0, 2), st.booleans(), st.integers(0, 100))
def test_rows_come_first_wherever_they_were(rows, entries, dimension, is_major, seed):
    wanted = torch.randn(rows, entries, 3, 2, generator=torch.Generator().manual_seed(seed))
    layout = RowLayout(dimension, entries, is_major)
    assert torch.equal(layout.by_row(merge(wanted, dimension, is_major), rows), wanted)


@given(st.integers(1, 4), st.integers(0, 2), st.booleans(), st.integers(0, 100))
def test_the_layout_is_found_from_two_rows(entries, dimension, is_major, seed):
    both = torch.randn(2, entries, 3, 5, generator=torch.Generator().manual_seed(seed))
    alone = merge(both[:1], dimension, is_major)
    found = find_row_layout(alone, merge(both, dimension, is_major), "body")
    assert found == RowLayout(dimension, entries, is_major or entries == 1)


@pytest.mark.reliability(
    "attribution", "contributions of a layer whose output has no dimension of rows", "refused, by the layer's name"
)
def test_no_rows_is_an_error():
    with pytest.raises(UnsupportedOperation, match="'body' has the shape"):
        find_row_layout(torch.zeros(3, 4), torch.zeros(3, 4), "body")
