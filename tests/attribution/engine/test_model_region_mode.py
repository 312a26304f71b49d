"""A part of a model with comparisons is one operation if it has a derivative: sparsemax, however it is written."""

import functools
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from seqlight.attribution.engine.model_region_mode import RegionPolicy


def ranks(z):
    return torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)


def by_gather(z):
    ordered, _ = torch.sort(z, dim=-1, descending=True)
    sums = ordered.cumsum(-1)
    count = (1 + ranks(z) * ordered > sums).sum(dim=-1, keepdim=True)
    return torch.clamp(z - (sums.gather(-1, count - 1) - 1) / count, min=0)


def by_mask(z):
    ordered, _ = z.topk(z.shape[-1], dim=-1)
    support = 1 + ranks(z) * ordered > ordered.cumsum(-1)
    return F.relu(z - ((support * ordered).sum(-1, keepdim=True) - 1) / support.sum(-1, keepdim=True))


def by_numbers(z):
    z = z - z.max(dim=-1, keepdim=True)[0]
    ordered = torch.sort(z, descending=True, dim=-1)[0]
    support = torch.gt(1 + ranks(z) * ordered, torch.cumsum(ordered, -1)).type(z.type())
    count = torch.max(support * ranks(z), -1, keepdim=True)[0]
    return torch.max(torch.zeros_like(z), z - ((support * ordered).sum(-1, keepdim=True) - 1) / count)


def by_where(z):
    ordered = z.sort(-1, descending=True).values
    support = 1 + ranks(z) * ordered > ordered.cumsum(-1)
    total = torch.where(support, ordered, torch.zeros_like(ordered)).sum(-1)
    tau = ((total - 1) / torch.count_nonzero(support, -1)).unsqueeze(-1)
    return torch.where(z > tau, z - tau, 0.0)


def by_index(z):
    rows = z.reshape(-1, z.shape[-1])
    ordered = rows.sort(-1, descending=True).values
    sums = ordered.cumsum(-1) - 1
    last = (ranks(z) * ordered > sums).float().sum(-1).long() - 1
    tau = sums[torch.arange(len(rows), device=rows.device), last] / (last + 1)
    return (rows - tau[:, None]).clamp_min(0).view(z.shape)


def by_order(z):
    ordered = torch.take_along_dim(z, z.argsort(-1, descending=True), -1)
    sums = ordered.cumsum(-1)
    last = (1 + ranks(z) * ordered > sums).sum(-1, keepdim=True)
    last -= 1
    tau = (torch.take_along_dim(sums, last, -1) - 1) / (last + 1)
    return (z - tau) * (z > tau).to(z.dtype)


def entmax(z):
    z = (z - z.max(dim=-1, keepdim=True).values) / 2
    ordered = z.sort(-1, descending=True).values
    mean, squares = ordered.cumsum(-1) / ranks(z), (ordered**2).cumsum(-1) / ranks(z)
    rest = (1 - ranks(z) * (squares - mean**2)) / ranks(z)
    tau = mean - torch.sqrt(torch.clamp(rest, 0))
    count = (tau <= ordered).sum(-1, keepdim=True)
    return torch.clamp(z - tau.gather(-1, count - 1), min=0) ** 2


class Sparsemax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        y = by_gather(z)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        support = y > 0
        mean = (grad * support).sum(-1, keepdim=True) / support.sum(-1, keepdim=True)
        return support * (grad - mean)


class Entmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        y = entmax(z)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        roots = ctx.saved_tensors[0].sqrt()
        found = grad * roots
        return found - found.sum(-1, keepdim=True) / roots.sum(-1, keepdim=True) * roots


def by_budget(z):
    """Return weights that sum to 2: of these there is no closed form here."""
    ordered = z.sort(-1, descending=True).values
    sums = ordered.cumsum(-1)
    count = (2 + ranks(z) * ordered > sums).sum(dim=-1, keepdim=True)
    return torch.clamp(z - (sums.gather(-1, count - 1) - 2) / count, min=0)


class Budget(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        y = by_budget(z)
        ctx.save_for_backward(y)
        return y

    backward = Sparsemax.backward


SPARSEMAX = [by_gather, by_mask, by_numbers, by_where, by_index, by_order]
ALL = [*SPARSEMAX, entmax, Sparsemax.apply, Entmax.apply]


class Attention(nn.Module):
    """A convolution, and attention with few positions that count."""

    def __init__(self, function, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.function, self.conv = function, nn.Conv1d(4, 6, 3, padding=1)
        self.query, self.key, self.value = (nn.Linear(6, 6) for _ in range(3))
        with torch.no_grad():
            for one in self.parameters():
                one.copy_(torch.randn(one.shape, generator=generator) * 0.6)
        self.to(dtype)

    def forward(self, x):
        h = torch.relu(self.conv(x)).transpose(1, 2)
        weights = self.function(self.query(h) @ self.key(h).transpose(1, 2))
        return (weights @ self.value(h)).tanh().mean(1)


X = sl.random_one_hot((3, 4, 8), random_state=0)
REFERENCES = sl.random_one_hot((9, 4, 8), random_state=1).view(3, 3, 4, 8)
SETTINGS = {"references": REFERENCES, "device": "cpu"}


@functools.cache
def explained(function, dtype=torch.float64, integrated="ignore", **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error", sl.errors.ConvergenceWarning)
        warnings.simplefilter(integrated, sl.errors.IntegratedWarning)
        return sl.attribute(Attention(function, dtype), X.to(dtype), **SETTINGS, **settings)


def missed(found):
    return float((found.attributions.sum((1, 2)) - found.differences).abs().max() / found.differences.abs().mean())


@pytest.mark.reliability(
    "models",
    "sparsemax or entmax, written in operations in nine ways or as a function with its own backward",
    "explained completely, in closed form, without a word of an integral",
)
@pytest.mark.parametrize("function", ALL)
def test_sparse_attention_is_complete(function):
    assert missed(explained(function, integrated="error")) < 1e-12


@pytest.mark.parametrize("function", [by_budget, Budget.apply])
def test_other_counts_are_integrated(function):
    assert missed(explained(function)) < 1e-9


@pytest.mark.parametrize("function", [by_mask, entmax, Sparsemax.apply])
def test_complete_in_float32(function):
    found, wanted = explained(function, torch.float32), explained(function)
    torch.testing.assert_close(found.attributions.double(), wanted.attributions, rtol=1e-3, atol=1e-5)


def test_all_spellings_get_the_same_attributions():
    first = explained(by_gather).attributions
    for other in (by_mask, by_numbers, by_where, by_index):
        torch.testing.assert_close(explained(other).attributions, first, rtol=1e-7, atol=1e-9)
    # With the step to the weights in it, it is one operation to the end.
    whole = explained(Sparsemax.apply).attributions
    torch.testing.assert_close(explained(by_order).attributions, whole, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("function", [by_gather, Sparsemax.apply])
def test_the_batch_size_does_not_matter(function):
    whole = explained(function, batch_size=64).attributions
    for size in (1, 7):
        torch.testing.assert_close(explained(function, batch_size=size).attributions, whole, rtol=1e-7, atol=1e-9)


def test_integration_is_warned_of():
    with pytest.warns(sl.errors.IntegratedWarning, match=r"^gt in the model itself \(Attention\) has no exact"):
        sl.deep_lift_shap(Attention(by_budget), X, **SETTINGS)
    with pytest.warns(sl.errors.IntegratedWarning, match=r"^Budget in the model itself"):
        sl.deep_lift_shap(Attention(Budget.apply), X, **SETTINGS)


@pytest.mark.parametrize(
    ("function", "treatment"), [(by_gather, "closed form"), (by_order, "closed form"), (by_budget, "integrated")]
)
def test_the_audit_names_the_region(function, treatment):
    found = sl.audit(Attention(function), X.double(), **SETTINGS)
    rows = found.table[found.table["treatment"] == treatment]
    assert found.complete
    assert len(rows) == 1
    assert rows["operation"].iloc[0] == "gt"
    assert not len(found.culprits)


class Padded(nn.Module):
    """A mean over what is no padding."""

    def forward(self, x):
        there = x.sum(1) > 0
        return ((x[:, 0] * 2 - x[:, 1]).relu() * there).cumsum(1).tanh().sum(1, keepdim=True) / there.sum(
            1, keepdim=True
        )


class Steps(nn.Module):
    """How many positions are high: that jumps."""

    def forward(self, x):
        h = x[:, 0].cumsum(1)
        return (h * (h > 2).sum(1, keepdim=True)).sum(1, keepdim=True)


def test_equal_masks_change_nothing():
    padded = X.clone()
    padded[:, :, 6:] = 0
    references = sl.shuffle(X[:, :, :6], n=3, random_state=0)
    references = F.pad(references, (0, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sl.attribute(Padded(), padded.double(), references=references.double(), device="cpu")
    assert missed(found) < 1e-12


@pytest.mark.reliability(
    "models", "a count of positions above a threshold, which jumps", "each position gets what it adds to the count"
)
def test_a_discontinuous_count_is_explained_step_by_step():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sl.attribute(Steps(), X.double(), **SETTINGS)
    assert missed(found) < 1e-12
    assert sl.audit(Steps(), X.double(), **SETTINGS).complete


class Both(nn.Module):
    """One part that has a derivative, and one that jumps."""

    def __init__(self):
        super().__init__()
        self.attention, self.steps = Attention(by_budget), Steps()

    def forward(self, x):
        return self.attention(x)[:, :1] + 0.1 * self.steps(x)


def test_a_discontinuous_region_leaves_the_others_active():
    with pytest.warns(sl.errors.IntegratedWarning, match="attention"):
        found = sl.attribute(Both(), X.double(), **SETTINGS)
    assert missed(found) < 1e-9
    treated = sl.audit(Both(), X.double(), **SETTINGS).table.set_index("module").treatment
    assert "integrated" in set(treated["attention (Attention)"])
    assert "in parts" in set(treated["steps (Steps)"])


def test_regions_become_active_when_a_comparison_differs():
    one = RegionPolicy()
    assert not one.unknown
    one.compares = True
    assert one.unknown
    one.regions = ()
    assert not one.unknown
    assert not one.checks_comparisons
