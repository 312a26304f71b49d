"""Choices between two operands: torch's own results, complete, whatever is in the operand that is not chosen."""

import math

import pytest
import torch

from seqlight import attribute, random_one_hot

X = random_one_hot((3, 4, 20), random_state=0)
EVEN = torch.arange(20) % 2 == 0


def even(h):
    return EVEN.to(h.device)


def half(h):
    return h.masked_fill(even(h), -math.inf)


MODELS = {
    "a fixed mask": lambda h: torch.where(even(h), h, h.tanh()),
    "a mask of the input": lambda h: torch.where(h > 0, h.exp(), 1 + h),
    "a mask of another tensor": lambda h: torch.where(h.roll(1, 2) > 0, h * h, h * h),
    "a method": lambda h: h.where(h > 0.1, h.flip(1)),
    "of one number": lambda h: torch.where(even(h), h, h.mean((1, 2), keepdim=True)),
    "maximum": lambda h: torch.maximum(h, h.flip(1)),
    "minimum": lambda h: torch.minimum(h, h.flip(1)),
    "clamp by a tensor": lambda h: h.clamp(min=h.flip(1) - 1),
    "infinity where it is not chosen": lambda h: torch.where(~even(h), half(h), 2 * h),
    "maximum with minus infinity": lambda h: torch.maximum(h, half(h)),
    "minimum with infinity": lambda h: torch.minimum(h, -half(h)),
    "much larger where it is not chosen": lambda h: torch.where(even(h), h, h * 1e9) * even(h),
    "maximum with much smaller": lambda h: torch.maximum(h, h * h - 1e9 * even(h)),
}


class Model(torch.nn.Module):
    def __init__(self, choose):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.linear, self.choose = (
            torch.nn.Conv1d(4, 6, 5, padding=2),
            torch.nn.Linear(120, 1),
            choose,
        )

    def forward(self, x):
        return self.linear(self.choose(self.convolution(x)).flatten(1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_the_models_own_and_contributions_complete(name, dtype):
    model = Model(MODELS[name])
    found = attribute(model, X, random_state=0, n_shuffles=6, dtype=dtype, device="cpu")
    kind = getattr(torch, dtype)
    with torch.no_grad():
        outputs = model.to(kind)(X.to(kind))[:, 0]
    torch.testing.assert_close(found.outputs, outputs)
    assert found.attributions.isfinite().all()
    assert found.relative_deltas.max() < (1e-9 if dtype == "float64" else 1e-3)


def test_equal_choices_give_all_to_the_one_that_is_chosen(engine_gap):
    torch.manual_seed(0)
    x, r = torch.randn(2, 6, dtype=torch.float64), torch.randn(3, 2, 6, dtype=torch.float64)
    mask = torch.tensor([True, False] * 3)
    assert engine_gap(lambda x: torch.where(mask, 2 * x, -3 * x), x, r) < 1e-12
    assert engine_gap(lambda x: torch.where(x > 0, 2 * x, -3 * x), x, r) < 1e-12
