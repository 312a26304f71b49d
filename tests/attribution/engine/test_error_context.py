"""An error names the innermost module that it comes from, and has a note on what to try."""

import pytest
import torch
from torch import nn

from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.engine.error_context import add_module_name
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.module_names import describe_current_module, describe_module


class Refuses(nn.Module):
    def forward(self, x):
        raise UnsupportedOperation("no.")


def test_the_innermost_module_is_named():
    model = nn.Sequential(nn.Identity(), nn.Sequential(Refuses()))
    with (
        pytest.raises(UnsupportedOperation, match=r"^no\. This happens in module '1.0' \(Refuses\)\.$"),
        add_module_name(model),
    ):
        model(1)
    alone = Refuses()
    with (
        pytest.raises(UnsupportedOperation, match=r"^no\. This happens in the model itself \(Refuses\)\.$"),
        add_module_name(alone),
    ):
        alone(1)


def test_an_empty_module_is_named_although_it_is_false():
    class Empty(nn.Sequential):
        def forward(self, x):
            raise UnsupportedOperation("no.")

    model = nn.Sequential(Empty())
    with (
        pytest.raises(UnsupportedOperation, match=r"no\. This happens in module '0' \(Empty\)"),
        add_module_name(model),
    ):
        model(1)


def test_an_error_from_outside_the_model_names_no_module():
    with pytest.raises(UnsupportedOperation, match=r"^no\.$"), add_module_name(nn.Identity()):
        raise UnsupportedOperation("no.")
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


X = random_one_hot((2, 4, 10), random_state=0)


class Casting(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(40, 1)

    def forward(self, x):
        return self.linear(x.float().flatten(1))


class Two(nn.Module):
    def forward(self, x, other):
        return (x + other).sum((1, 2))


class NoForward(nn.Module):
    pass


class Failing(nn.Module):
    def forward(self, x):
        raise RuntimeError("on purpose")


@pytest.mark.parametrize(
    ("model", "settings", "kind", "note"),
    [
        (Casting(), {"dtype": "float64"}, RuntimeError, "runs with dtype=None"),
        (Two(), {}, TypeError, "passed as args="),
        (NoForward(), {}, NotImplementedError, "needs a forward"),
        (Failing(), {"dtype": "float64"}, RuntimeError, None),
        (Failing(), {}, RuntimeError, None),
    ],
)
def test_notes_on_errors(model, settings, kind, note):
    with pytest.raises(kind) as error:
        deep_lift_shap(model, X, random_state=0, device="cpu", **settings)
    called, *notes = error.value.__notes__
    assert called.startswith("The model was called with X of")
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


def test_without_a_dtype_the_model_runs_in_its_own():
    assert torch.isfinite(deep_lift_shap(Casting(), X, random_state=0, device="cpu")).all()
