"""What the names of functions say."""

import gc
import weakref

import pytest
import torch

from seqlight.attribution.rules.operation_names import hides_in_place


@pytest.mark.parametrize(("function", "expected"), [(torch.Tensor.erfinv_, True), (torch.Tensor.erfinv, False)])
def test_a_function_that_writes_in_place(function, expected):
    assert hides_in_place(function) is expected


def test_a_function_is_not_kept():
    def made():
        pass

    assert not hides_in_place(made)
    kept = weakref.ref(made)
    del made
    gc.collect()
    assert kept() is None
