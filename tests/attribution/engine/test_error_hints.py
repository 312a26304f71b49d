"""Errors of a user's own model come as they are, with a note on what to try."""

import pytest
import torch
from torch import nn

from seqlight import deep_lift_shap, random_one_hot

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
def test_what_is_noted(model, settings, kind, note):
    with pytest.raises(kind) as error:
        deep_lift_shap(model, X, random_state=0, device="cpu", **settings)
    notes = getattr(error.value, "__notes__", [])
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


def test_without_a_dtype_the_model_runs_in_its_own():
    assert torch.isfinite(deep_lift_shap(Casting(), X, random_state=0, device="cpu")).all()
