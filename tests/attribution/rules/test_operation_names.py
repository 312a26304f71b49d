"""What the names of functions say."""

import gc
import weakref

import pytest
import torch

from seqlight.attribution.rules.operation_names import hides_in_place, writes_in_place


@pytest.mark.parametrize(("function", "expected"), [(torch.Tensor.erfinv_, True), (torch.Tensor.erfinv, False)])
def test_a_function_that_writes_in_place(function, expected):
    assert hides_in_place(function) is expected


def test_names_of_functions_that_write_in_place():
    assert not any(map(writes_in_place, ["__int__", "__invert__", "__getitem__", "add", "__index__"]))
    assert all(map(writes_in_place, ["add_", "__iadd__", "__setitem__", "index_put_"]))
    assert not hides_in_place(torch.Tensor.__setitem__)  # which is linear in both


def test_a_function_is_not_kept():
    def made():
        pass

    assert not hides_in_place(made)
    kept = weakref.ref(made)
    del made
    gc.collect()
    assert kept() is None
