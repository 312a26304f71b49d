"""An error names the innermost module that it comes from."""

import pytest
from torch import nn

from seqlight.attribution.engine.error_context import naming_the_module
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.module_names import describe_current_module, describe_module


class Refuses(nn.Module):
    def forward(self, x):
        raise UnsupportedOperation("no")


def test_the_innermost_module_is_named():
    model = nn.Sequential(nn.Identity(), nn.Sequential(Refuses()))
    with pytest.raises(UnsupportedOperation, match=r"no in module '1.0' \(Refuses\)"), naming_the_module(model):
        model(1)
    alone = Refuses()
    with pytest.raises(UnsupportedOperation, match="no in module 'the model itself'"), naming_the_module(alone):
        alone(1)


def test_so_is_one_that_is_empty_and_counts_as_false():
    class Empty(nn.Sequential):
        def forward(self, x):
            raise UnsupportedOperation("no")

    model = nn.Sequential(Empty())
    with pytest.raises(UnsupportedOperation, match=r"no in module '0' \(Empty\)"), naming_the_module(model):
        model(1)


def test_what_comes_from_no_module_of_the_model_has_no_name():
    with pytest.raises(UnsupportedOperation, match=r"^no$"), naming_the_module(nn.Identity()):
        raise UnsupportedOperation("no")
    assert describe_module(nn.Identity(), None) == ""


def test_where_a_module_is_called():
    found = []

    class Asks(nn.Module):
        def forward(self, x):
            found.append(describe_current_module(model))
            return x

    model = nn.Sequential(nn.Identity(), Asks())
    model(1)
    assert found == [" in module '1' (Asks)"]
    assert describe_current_module(model) == ""
