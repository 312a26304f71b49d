"""Each composition is the operation of PyTorch that it is written for; all of them add up."""

import pytest
import torch

from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.rules import sorting as o

torch.manual_seed(0)
X = torch.randn(3, 6, 7, dtype=torch.float64)
TIED = (2 * X).round()
HOLES = torch.where(torch.rand(3, 6, 7) < 0.2, torch.nan, X)
Q = torch.tensor([0.0, 0.3, 0.5, 1.0], dtype=torch.float64)

CASES = [
    ("sort", (), {}),
    ("sort", (1, True), {}),
    ("sort", (), {"dim": 0, "stable": True, "descending": True}),
    ("msort", (), {}),
    ("topk", (3,), {}),
    ("topk", (3, 1, False), {}),
    ("topk", (2,), {"dim": -2, "largest": True, "sorted": True}),
    ("kthvalue", (3,), {}),
    ("kthvalue", (2, 1, True), {}),
    ("median", (), {}),
    ("median", (1,), {}),
    ("median", (-1, True), {}),
    ("nanmedian", (), {}),
    ("nanmedian", (1,), {"keepdim": True}),
    *(("quantile", (Q, dim, keepdim), {}) for dim in (None, 0, -1) for keepdim in (False, True)),
    ("quantile", (0.77,), {"dim": 1}),
    *(("quantile", (Q, 1), {"interpolation": one}) for one in "lower higher midpoint nearest linear".split()),
    ("nanquantile", (0.4, 1, True), {}),
    ("nanquantile", (Q,), {}),
    ("aminmax", (), {}),
    ("aminmax", (), {"dim": 1, "keepdim": True}),
    *((name, (dim,), {}) for name in ("cummax", "cummin") for dim in (0, 1, -1)),
    ("mode", (), {}),
    ("mode", (1, True), {}),
]
# Only some look past what is no number.
ROWS = [
    pytest.param(case, x, id=f"{i}-{case[0]}-{kind}")
    for i, case in enumerate(CASES)
    for kind, x in [("plain", X), ("tied", TIED), ("holes", HOLES)]
    if kind != "holes" or case[0].startswith("nan")
] + [
    pytest.param((name, (), {"dim": 0}), X[0, 0, 0], id=f"{name}-number")
    for name in "sort aminmax cummax cummin".split()
]


@pytest.mark.parametrize(("case", "x"), ROWS)
def test_the_same_values_and_places(case, x):
    name, args, kwargs = case
    found, expected = getattr(o, name)(x, *args, **kwargs), getattr(torch, name)(x, *args, **kwargs)
    assert type(found) is type(expected)
    both = [(found, expected)] if isinstance(found, torch.Tensor) else zip(found, expected, strict=True)
    for one, other in both:
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12, equal_nan=True)
    if hasattr(expected, "indices") and not isinstance(expected, torch.Tensor):
        assert torch.equal(found.indices, expected.indices)
        torch.testing.assert_close(found.values, expected.values, rtol=0, atol=0)


def pairs(shape=(2, 6, 20)):
    torch.manual_seed(1)
    return torch.randn(shape, dtype=torch.float64), torch.randn(3, *shape, dtype=torch.float64)


OPERATIONS = {
    "sort": lambda h: h.sort(dim=1).values,
    "sort, descending": lambda h: torch.sort(h, dim=-1, descending=True, stable=True)[0],
    "sort, unpacked": lambda h: (lambda values, places: values + 0 * places)(*h.sort()),
    "top k": lambda h: h.topk(3, dim=1).values,
    "top k, in no order": lambda h: torch.topk(h, 4, sorted=False)[0].tanh().sum(-1),
    "top k, averaged": lambda h: h.topk(5)[0].mean(-1),
    "smallest k": lambda h: torch.topk(h, 3, 2, largest=False)[0],
    "median": lambda h: h.median(1).values,
    "nanmedian": lambda h: (h + torch.where(torch.arange(20) % 3 == 0, torch.nan, 0.0).to(h)).nanmedian(2)[0],
    "quantile": lambda h: h.quantile(0.3, 1),
    "quantiles": lambda h: torch.quantile(h, torch.tensor([0.1, 0.5]).to(h), dim=2).movedim(0, -1),
    "kth value": lambda h: torch.kthvalue(h, 4, 1).values,
    "running maximum": lambda h: h.cummax(2).values,
    "running minimum": lambda h: torch.cummin(h, 1)[0],
    "running maximum of masked": lambda h: (
        h.masked_fill(torch.arange(20, device=h.device) < 5, -torch.inf).cummax(2)[0].exp()
    ),
    "sort of masked": lambda h: h.masked_fill(torch.arange(20, device=h.device) > 12, -torch.inf).sort(2)[0].exp(),
    "smallest and largest": lambda h: torch.cat(torch.aminmax(h, dim=1), 1),
    "mode": lambda h: h.round(decimals=1).mode(2)[0],
    "sort after relu": lambda h: torch.relu(h).sort(1).values,
    "sorts": lambda h: (h.sort(1).values * h.sort(2)[0]).cummax(2).values.sort(1)[0],
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("ties", [False, True])
def test_they_add_up(name, ties, engine_gap):
    x, r = pairs()
    x, r = ((2 * x).round(), (2 * r).round()) if ties else (x, r)
    assert engine_gap(OPERATIONS[name], x, r) < 1e-9


@pytest.mark.parametrize("name", OPERATIONS)
def test_they_add_up_in_models(name, Around, incompleteness):
    assert incompleteness(Around(OPERATIONS[name])) < 1e-9


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_pair_is_explained_on_its_own(name, Around):
    X = random_one_hot((3, 4, 20), random_state=1)
    together, alone = (
        deep_lift_shap(
            Around(OPERATIONS[name]), x, n_shuffles=4, batch_size=size, random_state=0, device="cpu", raw_outputs=True
        )
        for x, size in [(X, 64), (X[1:2], 1)]
    )
    torch.testing.assert_close(together[1:2], alone, rtol=1e-9, atol=1e-12)


def test_in_no_order_means_in_order():
    found = o.topk(X, 3, sorted=False)
    torch.testing.assert_close(found.values, X.topk(3).values)
    torch.testing.assert_close(X.gather(-1, found.indices), found.values)
