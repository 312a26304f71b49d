"""Max unpooling: what moves is credited to what was pooled."""

import pytest
import torch
from torch.nn import functional as F

from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.calls.call import Call
from seqlight.attribution.rules import unpooling
from seqlight.errors import UnsupportedOperation


def there_and_back(h):
    return F.max_unpool1d(*F.max_pool1d(h, 4, return_indices=True), 4)


def changed_between(h):
    y, at = torch.nn.MaxPool1d(4, return_indices=True)(h)
    return torch.nn.MaxUnpool1d(4)(torch.tanh(y.flip(1)) + 1, at)


def plane(h):
    y, at = F.max_pool2d(h.view(-1, 2, 6, 10), (3, 2), return_indices=True)
    return F.max_unpool2d(y * y, at, (3, 2))


def cut_off(h):
    y, at = F.max_pool1d(h, 3, return_indices=True)
    return F.max_unpool1d(y, at, 3, output_size=(len(h), 6, 20))


def space(h):
    y, at = F.adaptive_max_pool3d(h.view(-1, 2, 3, 4, 5), (3, 2, 1), return_indices=True)
    return F.max_unpool3d(y, at, (1, 2, 5))


def twice(h):
    a, first = F.max_pool1d(h, 2, return_indices=True)
    b, second = F.max_pool1d(torch.relu(a), 2, return_indices=True)
    return F.max_unpool1d(F.max_unpool1d(b, second, 2) + a, first, 2)


MODELS = [there_and_back, changed_between, plane, cut_off, space, twice]


@pytest.mark.parametrize("function", MODELS)
def test_they_add_up(function, Around, incompleteness):
    assert incompleteness(Around(function)) < 1e-9


@pytest.mark.parametrize("function", MODELS)
def test_each_pair_is_explained_on_its_own(function, Around):
    x = random_one_hot((3, 4, 20), random_state=1)
    settings = {"n_shuffles": 4, "random_state": 0, "device": "cpu", "raw_outputs": True}
    together = deep_lift_shap(Around(function), x, batch_size=64, **settings)
    alone = deep_lift_shap(Around(function), x[1:2], batch_size=1, **settings)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("function", MODELS)
@pytest.mark.parametrize("ties", [False, True])
def test_they_add_up_with_ties(function, ties, engine_gap):
    torch.manual_seed(0)
    x, r = torch.randn(2, 6, 20, dtype=torch.float64), torch.randn(3, 2, 6, 20, dtype=torch.float64)
    x, r = (x.round(), r.round()) if ties else (x, r)
    assert engine_gap(function, x, r) < 1e-9


def test_a_value_that_moves():
    # From place 1 to place 0, because there it fell by 3 and here rose by 1.
    x1, x0 = torch.tensor([[4.0, 2.0]]), torch.tensor([[3.0, 5.0]])
    rule, operands = unpooling.Unpool(), []
    for x in (x1, x0):
        values, places = x.requires_grad_().max(-1, keepdim=True)
        operands.append(Call.from_arguments("op", unpooling.put, (values.detach().requires_grad_(), places, x, 2), {}))
    _, kept = rule.observe(operands[0], False)
    y = rule.explain(operands[1], kept, False)
    assert y.tolist() == [[0, 5]]
    value, source = torch.autograd.grad(y, operands[1].tensors, torch.tensor([[10.0, 1.0]]))
    assert value.tolist() == [[(10 + 1) / 2]]
    step = (10 - 1) * (4 + 5) / 2 / (1 + 3)
    assert source.tolist() == [[step, -step]]
    assert value.item() * (4 - 5) + step * (1 + 3) == 10 * 4 - 1 * 5


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda h: F.max_unpool1d(*F.max_pool1d(h, 3, 1, return_indices=True), 3, 1), "several values to one place"),
        (
            lambda h: (lambda y, at: F.max_unpool1d(y, at.clone(), 2))(*F.max_pool1d(h, 2, return_indices=True)),
            "pass it the indices as max pooling returned them",
        ),
    ],
)
def test_ambiguous_calls_are_refused(function, why, Around):
    with pytest.raises(UnsupportedOperation, match=f"max_unpool.*{why}.*in the model itself"):
        deep_lift_shap(Around(function), random_one_hot((2, 4, 20), random_state=0), device="cpu", random_state=0)
