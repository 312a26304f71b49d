"""What is detached, compared, or computed without gradients depends on the input: it is explained as what has one."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from user_operations import by_numpy

X = sl.random_one_hot((3, 4, 12), random_state=0)
SETTINGS = {"n_shuffles": 4, "random_state": 0, "device": "cpu"}


class Residual(nn.Module):
    """Two residual blocks around a function."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(1)
        self.stem, self.body = nn.Conv1d(4, 6, 5, padding=2), nn.Conv1d(6, 6, 3, padding=1)
        self.function, self.last = function, nn.Linear(72, 1)
        self.double()

    def forward(self, x):
        h = torch.tanh(2 * self.stem(x))
        h = h + self.function(3 * self.body(h))
        return self.last((h + 0.5 * self.function(h)).flatten(1))


def softmax(shift):
    def function(h):
        e = torch.exp(h - shift(h))
        return e / e.sum(1, keepdim=True)

    return function


def log_sum(shift):
    return lambda h: h * (torch.log(torch.exp(h - shift(h)).sum(1, keepdim=True)) + shift(h))


def highest(h):
    return h.max(1, keepdim=True).values


def length(h):
    return h.norm(dim=1, keepdim=True)


def in_the_dark(function):
    def dark(h):
        with torch.no_grad():
            return function(h)

    return dark


def row_by_row(h):
    with torch.no_grad():
        largest = torch.stack([torch.max(one) for one in h])
    return largest.view(-1, 1, 1)


def in_place(function):
    def copied(h):
        h = h.clone()
        function(h)
        return h

    return copied


def shifted_in_place(h):
    e = h.clone()
    e.sub_(highest(h).detach()).exp_()
    return e.div_(e.sum(1, keepdim=True))


def mask_in_place(h):
    mask = torch.zeros_like(h)
    mask[h > 0] = 1
    return h * mask


def mask_then_scaled(h):
    mask = torch.zeros_like(h)
    mask[h > 0] = 2
    mask *= 0.5
    return h * mask


def hard(h):
    return (h > 0).to(h.dtype)


def straight_through(h):
    soft = torch.sigmoid(h)
    return hard(h) - soft.detach() + soft


def written_before_use(h):
    g = h + 0
    mask = g > 0
    g.mul_(2).sub_(1)
    return h * mask.to(h.dtype) + g - g


def times_one(h):
    one = torch.ones_like(h[:, :1])
    one *= h[:, :1].detach()
    return one * h


def scaled_by_mask(h):
    h[h < 0] *= 0.1


def assigned_by_mask(h):
    mask = h < 0
    h[mask] = 0.1 * h[mask]


def assigned_by_two_masks(h):
    h[h < 0] = h[h < 0] * 0.1


def scattered_by_mask(h):
    mask = h < 0
    return h.masked_scatter(mask, h.masked_select(mask) * 0.1)


def elu_by_mask(h):
    mask = h <= 0
    h[mask] = torch.expm1(h[mask])


def two_largest(h):
    return h * torch.zeros_like(h).scatter(1, h.topk(2, dim=1).indices, 1.0)


def two_largest_in_place(h):
    mask = torch.zeros_like(h)
    mask.scatter_(1, h.detach().topk(2, dim=1).indices, 1)
    return h * mask


def places_mask(h):
    return torch.zeros_like(h, dtype=torch.bool).scatter_(1, h.topk(2, 1)[1], True)


def two_largest_by_mask(h):
    return h * places_mask(h)


def two_largest_by_values(h):
    values, places = h.topk(2, dim=1)
    return torch.zeros_like(h).scatter_(1, places, values)


def two_largest_gathered(h):
    places = h.topk(2, dim=1).indices
    return torch.zeros_like(h).scatter(1, places, h.gather(1, places))


def above(h):
    second = h.topk(2, dim=1).values[:, 1:]
    return (h >= second).to(h.dtype)


def above_the_second(h):
    return h * above(h)


def table(h):
    return torch.linspace(-1, 1, 36).to(h).view(6, 6)


def hard_softmax(h):
    soft = h.softmax(1)
    return F.one_hot(soft.argmax(1), 6).movedim(-1, 1).to(h.dtype) - soft.detach() + soft


def relu_by_argument(h):
    return F.relu(h + 0, inplace=True)


def overwritten(h):
    h = h + 0
    F.relu(h, inplace=True)
    return h


def largest_of(kind):
    return lambda h: h * kind(h > 0.2, 1, keepdim=True).to(h.dtype)


# Two ways to write a function, of which the second needs no twin.
SAME = {
    "softmax": (softmax(lambda h: highest(h).detach()), softmax(highest)),
    "softmax, data": (softmax(lambda h: highest(h.data)), softmax(highest)),
    "softmax, detached before": (softmax(lambda h: h.detach().amax(1, keepdim=True)), softmax(highest)),
    "softmax, no_grad": (softmax(in_the_dark(highest)), softmax(highest)),
    "softmax, inference": (softmax(torch.inference_mode()(highest)), softmax(highest)),
    "softmax, a maximum of each row": (softmax(row_by_row), softmax(lambda h: h.amax((1, 2), keepdim=True))),
    "softmax, in place": (shifted_in_place, softmax(highest)),
    "logsumexp": (log_sum(in_the_dark(highest)), log_sum(highest)),
    "norm": (lambda h: h / length(h).detach(), lambda h: h / length(h)),
    "norm, no_grad": (lambda h: h / in_the_dark(length)(h), lambda h: h / length(h)),
    "a branch": (lambda h: torch.sigmoid(h).detach() * h, lambda h: torch.sigmoid(h) * h),
    "rounded": (lambda h: h + (h.round() - h).detach(), torch.round),
    "straight through": (straight_through, lambda h: torch.sign(h).clamp(min=0)),
    "a factor in place": (times_one, lambda h: h[:, :1] * h),
    "relu, float": (lambda h: hard(h) * h, F.relu),
    "relu, float32": (lambda h: (h > 0).float() * h, F.relu),
    "relu, type_as": (lambda h: h * (h > 0).type_as(h), F.relu),
    "relu, not": (lambda h: h * (~(h < 0)).to(h.dtype), F.relu),
    "relu, complement": (lambda h: h * (1 - (h < 0).to(h.dtype)), F.relu),
    "relu, integers": (lambda h: h * (h > 0).long(), F.relu),
    "relu, numbers that are chosen": (lambda h: h * torch.where(h > 0, 1.0, 0.0).to(h.dtype), F.relu),
    "relu, detached": (lambda h: h * (h.detach() > 0).to(h.dtype), F.relu),
    "relu, no_grad": (lambda h: h * in_the_dark(hard)(h), F.relu),
    "relu, no_grad, in place by its argument": (
        lambda h: h * in_the_dark(relu_by_argument)(h),
        lambda h: h * F.relu(h),
    ),
    "relu, no_grad, overwritten": (lambda h: h * in_the_dark(overwritten)(h), lambda h: h * F.relu(h)),
    "a view, no_grad": (
        lambda h: h * in_the_dark(lambda h: h.transpose(1, 2))(h).mean(1).unsqueeze(2),
        lambda h: h * h.mean(2, keepdim=True),
    ),
    "several views, no_grad": (
        lambda h: h * torch.cat(in_the_dark(lambda h: h.chunk(2, dim=1))(h)[::-1], dim=1),
        lambda h: h * h.roll(3, 1),
    ),
    "detached, with requires_grad_": (lambda h: h * h.detach().requires_grad_(False), torch.square),
    "relu, in place": (in_place(lambda h: h.mul_(hard(h))), F.relu),
    "relu, a mask in place": (mask_in_place, F.relu),
    "relu, a mask in place, scaled": (mask_then_scaled, F.relu),
    "relu, written to before its use": (written_before_use, F.relu),
    "leaky relu": (lambda h: hard(h) * h + 0.1 * (h <= 0).to(h.dtype) * h, lambda h: F.leaky_relu(h, 0.1)),
    "threshold": (lambda h: (h > 0.3).to(h.dtype) * h, lambda h: F.threshold(h, 0.3, 0.0)),
    "a band": (lambda h: h * ((h > -0.5) & (h < 0.5)).to(h.dtype), lambda h: F.threshold(h, -0.5, 0) * (h < 0.5)),
    "both sides": (lambda h: h * ((h < -0.5) | (h > 0.5)).to(h.dtype), F.hardshrink),
    "exclusive": (lambda h: h * ((h < -0.5) ^ (h > 0.5)).to(h.dtype), F.hardshrink),
    "a gate of another": (lambda h: h * hard(h.roll(1, 2)), lambda h: h * torch.sign(h.roll(1, 2)).clamp(min=0)),
    "a mask of another": (lambda h: h * (h.roll(1, 2) > 0), lambda h: h * torch.sign(h.roll(1, 2)).clamp(min=0)),
    "a fill by another": (
        lambda h: h.masked_fill(h.roll(1, 2) <= 0, 0.5),
        lambda h: 0.5 + (h - 0.5) * torch.sign(h.roll(1, 2)).clamp(min=0),
    ),
    "a fill by another, in place": (
        in_place(lambda h: h.masked_fill_(h.roll(1, 2) <= 0, 0.5)),
        lambda h: 0.5 + (h - 0.5) * torch.sign(h.roll(1, 2)).clamp(min=0),
    ),
    "an assignment by another": (
        in_place(lambda h: h.__setitem__(h.roll(1, 2) <= 0, 0.5)),
        lambda h: 0.5 + (h - 0.5) * torch.sign(h.roll(1, 2)).clamp(min=0),
    ),
    "a choice by another": (
        lambda h: torch.where(h.roll(1, 2) > 0, h, h.tanh()),
        lambda h: h.tanh() + (h - h.tanh()) * torch.sign(h.roll(1, 2)).clamp(min=0),
    ),
    "a choice by another, as a method": (
        lambda h: h.where(h.roll(1, 2) > 0, h.tanh()),
        lambda h: h.tanh() + (h - h.tanh()) * torch.sign(h.roll(1, 2)).clamp(min=0),
    ),
    "leaky relu, multiplied by a mask": (in_place(scaled_by_mask), lambda h: F.leaky_relu(h, 0.1)),
    "leaky relu, assigned by a mask": (in_place(assigned_by_mask), lambda h: F.leaky_relu(h, 0.1)),
    "leaky relu, by two masks": (in_place(assigned_by_two_masks), lambda h: F.leaky_relu(h, 0.1)),
    "leaky relu, masked_scatter": (scattered_by_mask, lambda h: F.leaky_relu(h, 0.1)),
    "relu, index_put": (in_place(lambda h: h.index_put_((h < 0,), torch.zeros_like(h).sum())), F.relu),
    "elu, assigned by a mask": (in_place(elu_by_mask), F.elu),
    "a change where another is high": (
        in_place(lambda h: h.__setitem__(m := h.roll(1, 2) > 0, 2 * h[m] + 1)),
        lambda h: h + (h + 1) * torch.sign(h.roll(1, 2)).clamp(min=0),
    ),
    "the two largest, scatter": (two_largest, above_the_second),
    "the two largest, scatter in place": (two_largest_in_place, above_the_second),
    "the two largest, a mask": (two_largest_by_mask, above_the_second),
    "the two largest, a mask that fills": (
        lambda h: h.masked_fill(~places_mask(h), 0.5),
        lambda h: 0.5 + (above(h) * (h - 0.5)),
    ),
    "the two largest, by their values": (two_largest_by_values, two_largest_gathered),
    "the two smallest": (
        lambda h: h * torch.zeros_like(h).scatter(1, h.topk(2, 1, largest=False).indices, 1.0),
        lambda h: h * (h <= h.topk(2, 1, False).values[:, 1:]).to(h.dtype),
    ),
    "the largest, one-hot": (
        lambda h: h * F.one_hot(h.argmax(1), num_classes=6).movedim(-1, 1),
        lambda h: h * torch.sign(h - h.amax(1, keepdim=True) + 1e-300).clamp(min=0),
    ),
    "the largest, gather": (lambda h: h * h.gather(1, h.argmax(1, keepdim=True)), lambda h: h * highest(h)),
    "another at the largest": (
        lambda h: h + h.tanh().gather(1, h.argmax(1).unsqueeze(1)),
        lambda h: h + (h.tanh() * F.one_hot(h.argmax(1), 6).movedim(-1, 1)).sum(1, keepdim=True),
    ),
    "a codebook": (
        lambda h: h + F.embedding(h.argmin(1), table(h)).movedim(-1, 1),
        lambda h: h + (F.one_hot((-h).argmax(1), 6).to(h.dtype) @ table(h)).movedim(-1, 1),
    ),
    "a codebook, by its index": (
        lambda h: h + table(h)[h.argmin(1)].movedim(-1, 1),
        lambda h: h + F.embedding(h.argmin(1), table(h)).movedim(-1, 1),
    ),
    "a hard softmax, straight through": (
        hard_softmax,
        lambda h: F.one_hot(h.softmax(1).argmax(1), 6).movedim(-1, 1).to(h.dtype),
    ),
    "any": (largest_of(torch.any), lambda h: h * torch.sign(h.amax(1, keepdim=True) - 0.2).clamp(min=0)),
    "all": (largest_of(torch.all), lambda h: h * torch.sign(h.amin(1, keepdim=True) - 0.2).clamp(min=0)),
    "a count": (
        lambda h: h / ((h > 0).sum(1, keepdim=True) + 1),
        lambda h: h / (torch.sign(h).clamp(min=0).sum(1, keepdim=True) + 1),
    ),
}


def explained(function, **settings):
    return sl.attribute(Residual(function), X, **(SETTINGS | settings))


@pytest.mark.reliability(
    "attribution",
    "what is detached, compared or computed in no_grad(): a softmax less a detached maximum, a gate (h > 0).float()",
    "explained as the same function with a gradient is, to rounding",
)
@pytest.mark.filterwarnings("error::seqlight.errors.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
@pytest.mark.parametrize("name", SAME)
def test_a_function_is_explained_as_the_same_one_with_a_gradient(name):
    function, plain = SAME[name]
    found, expected = explained(function), explained(plain)
    assert found.relative_deltas.max() < 1e-9
    torch.testing.assert_close(found.outputs, expected.outputs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.attributions, expected.attributions, rtol=1e-9, atol=1e-12)
    by_one = explained(function, batch_size=1)
    torch.testing.assert_close(by_one.attributions, found.attributions, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("error::seqlight.errors.ConvergenceWarning")
@pytest.mark.parametrize("name", SAME)
def test_attributions_with_a_graph_are_the_same(name):
    found = sl.differentiable_attributions(Residual(SAME[name][0]), X.double(), n_shuffles=4, random_state=0)
    expected = sl.differentiable_attributions(Residual(SAME[name][1]), X.double(), n_shuffles=4, random_state=0)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["softmax", "norm, no_grad", "a gate of another", "a choice by another"])
def test_their_derivatives_are_those_of_finite_differences(name):
    model, references = Residual(SAME[name][0]), sl.dinucleotide_shuffle(X, n=2, random_state=0).double()
    weights = torch.randn(X.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss():
        return (sl.differentiable_attributions(model, X.double(), references) * weights).sum()

    (gradient,) = torch.autograd.grad(loss(), model.body.weight)
    direction, step = torch.randn_like(gradient), 1e-6
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            model.body.weight += sign * step * direction
        ends.append(float(loss().detach()))
        with torch.no_grad():
            model.body.weight -= sign * step * direction
    assert float((gradient * direction).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("name", ["softmax, no_grad", "a gate of another", "a mask of another", "straight through"])
def test_layers_and_the_audit_agree(name):
    layers = explained(SAME[name][0], layers=["stem", "body"])
    expected = explained(SAME[name][1], layers=["stem", "body"])
    for one, other in zip(layers.layers.values(), expected.layers.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    found = sl.audit(Residual(SAME[name][0]), X, n_shuffles=2, random_state=0, device="cpu")
    assert found.complete
    assert not len(found.culprits)


def test_a_whole_body_without_gradients_is_explained():
    class Frozen(Residual):
        def forward(self, x):
            with torch.no_grad():
                features = super().forward(x)
            return features * 2

    found = sl.attribute(Frozen(torch.relu), X, **SETTINGS)
    expected = explained(torch.relu)
    torch.testing.assert_close(found.attributions, 2 * expected.attributions, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("attributions", [sl.deep_lift_shap, sl.differentiable_attributions])
def test_an_output_that_is_clamped_in_place_without_gradients_is_explained(attributions):
    class Clamped(Residual):
        def forward(self, x):
            with torch.no_grad():
                return super().forward(x).clamp_(max=0.1)  # whose slope autograd finds

    class Plain(Residual):
        def forward(self, x):
            return super().forward(x).clamp(max=0.1)

    found, expected = (
        attributions(model(torch.relu), X.double(), n_shuffles=4, random_state=0) for model in (Clamped, Plain)
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.reliability(
    "models",
    "a model that keeps what it detached, as a log of itself does",
    "it keeps tensors without a graph",
)
def test_what_a_model_keeps_has_no_graph():
    class Logging(Residual):
        def forward(self, x):
            h = self.stem(x).tanh()
            self.seen, self.high = h.detach().mean(-1), (h > 0).float().mean()
            with torch.no_grad():
                self.dark = h.exp()
            self.array = h.detach().cpu().numpy()
            return self.last(h.flatten(1))

    model = Logging(None)
    for explain in (sl.attribute, sl.differentiable_attributions):
        explain(model, X.double(), n_shuffles=2, random_state=0)
        assert not any(one.requires_grad for one in (model.seen, model.high, model.dark))
        assert copy.deepcopy(model).seen.shape == model.seen.shape


def test_what_is_never_used_costs_no_rule():
    def unused(h):
        torch.linalg.svdvals(h.detach())  # which has no rule
        return h.tanh()

    torch.testing.assert_close(explained(unused).attributions, explained(torch.tanh).attributions)


def without_a_twin(h):
    found = torch.linalg.svdvals(h.detach()).sum(1).view(-1, 1, 1)
    return h * found


def written_to_behind_its_back(h):
    g = h + 0
    g.data.exp_()
    return g


def assigned_by_places(h):
    h = h + 0
    h[(h < 0).nonzero(as_tuple=True)] = 0
    return h


@pytest.mark.parametrize(
    "function",
    [
        lambda h: h * by_numpy(h.roll(1, 1)),
        written_to_behind_its_back,
        assigned_by_places,
        lambda h: h * h.argsort(1),
        lambda h: h.gather(1, h.argsort(1)),
    ],
)
def test_what_has_no_twin_is_still_warned_of(function):
    with pytest.warns(sl.ConvergenceWarning):
        explained(function)


@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
def test_a_twin_without_a_rule_is_integrated():
    assert explained(without_a_twin).relative_deltas.max() < 1e-9


def test_gradients_stop_where_the_model_stops_them():
    function, plain = SAME["norm"]
    found = sl.input_x_gradient(Residual(function), X, device="cpu").attributions
    assert not torch.allclose(found, sl.input_x_gradient(Residual(plain), X, device="cpu").attributions)
