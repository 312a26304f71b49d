"""Models as people write them are explained up to rounding, or refused by name."""

import copy
import warnings

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from seqlight import deep_lift_shap, dinucleotide_shuffle, random_one_hot, shuffle
from seqlight.errors import ConvergenceWarning, UnsupportedOperation
from user_operations import Custom, Deep, by_numpy

X = random_one_hot((3, 4, 20), random_state=1)


class MyReLU(nn.ReLU):
    pass


class MyPool(nn.MaxPool1d):
    pass


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


def ignoring_the_result(name):
    def run(h):
        getattr(h, name)()
        return h

    return run


def skip_in_place(h):
    out = torch.relu(h)
    out += h
    return torch.tanh(out)


def view_in_place(h):
    h = h.clone()
    h[:, :3].relu_()
    h[:, 3:].mul_(h[:, :3])
    return h


def overwritten_later(h):
    a = torch.sigmoid(h)
    b = torch.tanh(a)
    a.mul_(2).add_(1)
    return b + a


def setitem_by_masks(h):
    h = h.clone()
    h[h < 0] = 0
    h[h > 1] = torch.tensor(1.0)
    h[:, :2][h[:, :2] > 0.5] = 0.5
    h[h.mean((1, 2)) < -9] = 3  # of whole rows
    return h


def setitem(h):
    out = torch.zeros_like(h)
    out[:, ::2] = torch.relu(h[:, ::2])
    out[:, 1] = h[:, 0] * h[:, 1]
    return out


def loop(h):
    for _ in range(4):
        h = torch.relu(h - 0.1) + 0.2 * h
    return h


def manual_softmax(h):
    e = torch.exp(h - h.max(dim=1, keepdim=True).values)
    return e / e.sum(1, keepdim=True)


def attention_by_hand(h):
    q = h.transpose(1, 2)
    return torch.softmax(q @ q.transpose(-2, -1) / 2, dim=-1) @ q


SHARED = nn.ReLU()
PRELU, BATCH = nn.PReLU(6).requires_grad_(False), nn.BatchNorm1d(6).eval().requires_grad_(False)
MODELS = {
    "module": nn.ReLU(),
    "subclass": MyReLU(),
    "in place": nn.ReLU(inplace=True),
    "function": F.relu,
    "torch": torch.relu,
    "method": lambda h: h.relu(),
    "aten": torch.ops.aten.relu.default,
    "aten packet": torch.ops.aten.relu,
    "made in forward": lambda h: nn.ReLU()(h),
    "parameters made in forward": lambda h: nn.LayerNorm(20).to(h)(nn.PReLU().to(h)(h)),
    "in place, ignored": ignoring_the_result("relu_"),
    "exp_ ignored": ignoring_the_result("exp_"),
    "square ignored": lambda h: ignoring_the_result("square_")(h),
    "reused": lambda h: SHARED(SHARED(h) - 0.2 * SHARED(-h)),
    "loop": loop,
    "operator": lambda h: h**2 + 2**h + 1 / (3 + abs(h)),
    "in place operators": lambda h: ((h.clone().__ipow__(2)).__itruediv__(3)).__imul__(2),
    "skip": skip_in_place,
    "view": view_in_place,
    "overwritten": overwritten_later,
    "setitem": setitem,
    "setitem by masks": setitem_by_masks,
    "prelu, bn": lambda h: BATCH.to(h)(PRELU.to(h)(h)),
    "gelu tanh": nn.GELU(approximate="tanh"),
    "threshold": nn.Threshold(0.1, -0.3),
    "masked": lambda h: torch.where(h > 0, h, 0.1 * h),
    "where of two": lambda h: torch.where(h > h.flip(1), h, h.flip(1)),
    "where method": lambda h: h.where(h > h.flip(1), h.flip(1)),
    "gated by a mask": lambda h: h * (h > 0) + (h < 0.1) * h.tanh(),
    "gated by a mask in place": lambda h: h.clone().mul_(h > 0),
    "clamp in two": lambda h: h.clamp(min=-0.3).clamp_(max=0.4),
    "clamp by tensors": lambda h: torch.clamp(h, h.flip(1) - 0.1, h.flip(1) + 0.2),
    "maximum of two": lambda h: torch.maximum(h, h.flip(1)) - torch.minimum(h, h.roll(1, 2)),
    "broadcast": lambda h: torch.maximum(h.mean(1, keepdim=True), torch.linspace(-0.1, 0.1, 6).to(h).view(6, 1)),
    "constant to a power": lambda h: torch.full_like(h, 2.0).pow_(h),
    "quotient": lambda h: h / (1 + h.flip(1) ** 2),
    "quotient in place": lambda h: h.clone().div_(1 + h.flip(1) ** 2),
    "rounded quotient": lambda h: h + torch.div(h, 0.1, rounding_mode="floor"),
    "swish": Swish(),
    "gate": lambda h: torch.tanh(h[:, :3]) * torch.sigmoid(h[:, 3:]),
    "gate in place": lambda h: h[:, :3].clone().mul_(torch.sigmoid(h[:, 3:])),
    "glu": nn.GLU(1),
    "square of itself": lambda h: h * h,
    "dynamic weights": lambda h: h @ h.transpose(1, 2),
    "three operands": lambda h: torch.einsum("bcl,bdl,bel->bcde", h, h[:, :2], h[:, 2:4]),
    "bilinear": lambda h: F.bilinear(h.mean(1), h.amax(1), torch.linspace(-1, 1, 1200).to(h).view(3, 20, 20)),
    "outer": lambda h: h[:, :, None] * h[:, None],
    "softmax": nn.Softmax(dim=1),
    "softmax over length": lambda h: h.softmax(-1),
    "log softmax": nn.LogSoftmax(dim=1),
    "softmin": nn.Softmin(dim=2),
    "logsumexp": lambda h: torch.logsumexp(h, (1, 2), keepdim=True),
    "logaddexp": lambda h: torch.logaddexp(h, h.flip(1)),
    "softmax by hand": manual_softmax,
    "masked softmax": lambda h: torch.softmax(h.masked_fill(torch.arange(20, device=h.device) > 12, -torch.inf), -1),
    "masked softmax by hand": lambda h: manual_softmax(
        h.masked_fill(torch.arange(6, device=h.device)[:, None] > 3, -torch.inf)
    ),
    "large logits": lambda h: torch.softmax(1e4 * h, 1),
    "attention by hand": attention_by_hand,
    "sdpa": lambda h: F.scaled_dot_product_attention(h, 2 * h, h, is_causal=True),
    "sdpa, mask": lambda h: F.scaled_dot_product_attention(h, h, h, torch.eye(6).to(h) - 1),
    "layer norm": nn.LayerNorm((6, 20)),
    "layer norm by hand": lambda h: (h - h.mean(-1, keepdim=True)) / h.std(-1, keepdim=True),
    "group norm": nn.GroupNorm(2, 6),
    "instance norm": nn.InstanceNorm1d(6, affine=True),
    "rms norm": nn.RMSNorm(20),
    "local response norm": nn.LocalResponseNorm(3, alpha=1.0),
    "normalize": lambda h: F.normalize(h, dim=1),
    "norms": lambda h: torch.cat([h.norm(dim=1), h.norm(p=1, dim=1), torch.linalg.vector_norm(h, 3, dim=1)], 1),
    "largest norm": lambda h: torch.linalg.vector_norm(h, torch.inf, dim=1),
    "std, var": lambda h: torch.cat([h.std(1), h.var(2), h.var((1, 2), correction=0)[:, None]], 1),
    "cosine": lambda h: F.cosine_similarity(h, h.flip(1) + 0.1, dim=2),
    "prod, cumprod": lambda h: torch.cat([(h + 1).prod(1), (h + 1).cumprod(2).flatten(1)], 1),
    "amax": lambda h: torch.cat([h.amax(1), -h.amin(2), h.max(2).values, h.min(1)[0]], 1),
    "max and its place": lambda h: h.max(dim=2, keepdim=True)[0] - h.min(dim=2, keepdim=True)[0],
    "adaptive max": nn.AdaptiveMaxPool1d(3),
    "lp pool": nn.LPPool1d(2, 3),
    "average": lambda h: F.adaptive_avg_pool1d(F.avg_pool1d(torch.relu(h), 3), 2),
    "order statistics": lambda h: torch.cat([h.sort(1).values, h.topk(2, 1)[0], h.quantile(0.3, 1)[:, None]], 1),
    "running extremes": lambda h: h.cummax(2).values - h.cummin(1)[0],
    "distances": lambda h: torch.cdist(h, h.flip(2)) + torch.cdist(h, h, p=1),
    "loss between halves": lambda h: F.smooth_l1_loss(h[:, :3], h[:, 3:], reduction="none", beta=0.1),
    "mapped": lambda h: torch.vmap(lambda row: torch.softmax(row, 0) @ row.T)(h),
    "unpooled by its places": lambda h: F.max_unpool1d(*F.max_pool1d(h, 2, return_indices=True), 2),
    "pool": nn.MaxPool1d(3),
    "pool subclass": MyPool(4),
    "pool overlapping": nn.MaxPool1d(4, 2),
    "pool padded": nn.MaxPool1d(4, 3, padding=2),
    "pool dilated": nn.MaxPool1d(3, 2, dilation=3),
    "pool ceil": nn.MaxPool1d(3, 3, ceil_mode=True),
    "pool after relu": nn.Sequential(nn.ReLU(), nn.MaxPool1d(3, 1)),
    "pools stacked": nn.Sequential(nn.ReLU(), nn.MaxPool1d(2), nn.MaxPool1d(2, 1), nn.MaxPool1d(3)),
    "pool with places": lambda h: nn.MaxPool1d(2, return_indices=True)(h)[0],
    "pool with places, by position": lambda h: F.max_pool1d(h, 2, 2, 0, 1, False, True)[0],
    "pool with places, called so": lambda h: F.max_pool1d_with_indices(h, 2)[0],
    "torch pool with places": lambda h: torch.max_pool1d_with_indices(h, 2)[0],
    "pool 2d": lambda h: F.max_pool2d(h.view(-1, 2, 6, 10), (3, 2), (2, 1), padding=1, ceil_mode=True),
    "pool 3d": lambda h: F.max_pool3d(h.view(-1, 2, 3, 4, 5), 2, 1, dilation=(1, 2, 1)),
    "unpooled": lambda h: F.interpolate(F.pad(torch.relu(h), (2, 1), mode="reflect"), scale_factor=2),
    "transposed convolution": nn.Sequential(nn.ConvTranspose1d(6, 3, 4, stride=2), nn.Tanh()),
    "by Fourier": lambda h: torch.fft.irfft(torch.fft.rfft(h) * torch.fft.rfft(h.flip(1))),
    "magnitudes": lambda h: torch.fft.fft(h).abs(),
    "complex product": lambda h: torch.view_as_real(torch.fft.fft(h) @ torch.fft.fft(h.flip(1)).mT),
    "sequence first": lambda h: torch.relu(h.permute(2, 0, 1)).permute(1, 0, 2),
    "batch in the middle": lambda h: torch.tanh(h.permute(1, 0, 2)).permute(1, 2, 0),
    "merged with positions": lambda h: torch.relu(h.transpose(1, 2).reshape(-1, 6)).view(-1, 20, 6),
    "merged as the minor": lambda h: torch.relu(h.permute(2, 0, 1).reshape(-1, 6)).view(20, -1, 6).permute(1, 2, 0),
    "row by row": lambda h: torch.stack([torch.relu(row) * row for row in h]),
    "checkpointed": lambda h: checkpoint(torch.tanh, h, use_reentrant=False),
    "checkpointed, reentrant": lambda h: checkpoint(torch.tanh, h, use_reentrant=True),
    "functional dropout": lambda h: F.dropout(torch.relu(h), 0.5, training=False),
    "identity": nn.Sequential(nn.Identity(), nn.Dropout(0.5), nn.ReLU()),
}


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # of a checkpoint without gradients
@pytest.mark.parametrize("name", MODELS)
def test_sums_are_complete_up_to_rounding(name, Around, incompleteness):
    assert incompleteness(Around(MODELS[name])) < 1e-9


ATTENTION = {
    "layer": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.1),
    "layer, pre-norm, gelu": lambda: nn.TransformerEncoderLayer(
        8, 2, 16, batch_first=True, norm_first=True, activation="gelu"
    ),
    "encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_transformers(name, incompleteness):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 8, 3), Transposed(ATTENTION[name]()), nn.Flatten(), nn.Linear(144, 2)).double()
    assert incompleteness(model) < 1e-9


class Transposed(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.transpose(1, 2))


class SelfAttention(nn.Module):
    def __init__(self, batch_first, need_weights, mask):
        super().__init__()
        self.first, self.last = nn.Conv1d(4, 8, 3), nn.Linear(144, 2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        self.batch_first, self.need_weights, self.mask = batch_first, need_weights, mask

    def forward(self, x):
        h = 3 * self.first(x)
        h = h.transpose(1, 2) if self.batch_first else h.permute(2, 0, 1)
        mask = torch.ones(18, 18, dtype=torch.bool, device=x.device).triu(1) if self.mask else None
        h, weights = self.attention(h, h, h, need_weights=self.need_weights, attn_mask=mask)
        assert (weights is not None) is self.need_weights
        return self.last((h if self.batch_first else h.transpose(0, 1)).flatten(1))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("mask", [True, False])
def test_multihead_attention(batch_first, need_weights, mask, incompleteness):
    torch.manual_seed(0)
    assert incompleteness(SelfAttention(batch_first, need_weights, mask).double()) < 1e-9


@pytest.mark.parametrize(
    "function",
    [
        lambda h: torch.xlogy(h.relu(), h.relu()),
        lambda h: torch.special.xlogy(h.relu(), h.exp()),
        lambda h: F.kl_div(h.log_softmax(1), h.relu(), reduction="none"),
        lambda h: F.max_pool1d(h.masked_fill(torch.arange(20, device=h.device) < 6, -torch.inf), 2).clamp_min(-3),
    ],
)
def test_zeros_and_infinities_that_cancel(function, Around, incompleteness):
    assert incompleteness(Around(function)) < 1e-9


@pytest.mark.parametrize("live", [True, False])
def test_fully_masked_positions_attend_to_nothing(live, incompleteness):
    mask = torch.ones(20, 20, dtype=torch.bool).tril(-1)  # the first position sees none

    def attend(h):
        other = h if live else torch.linspace(-1, 1, 120, dtype=h.dtype, device=h.device).view(1, 6, 20).expand_as(h)
        q, k = (one.mT.unsqueeze(1) for one in (h, other))
        return F.scaled_dot_product_attention(q, k, k, attn_mask=mask.to(h.device))[:, 0].mT

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv1d(4, 6, 3, padding=1), nn.Linear(120, 2)

        def forward(self, x):
            return self.last(attend(self.first(x)).flatten(1))

    torch.manual_seed(0)
    assert incompleteness(Model().double(), X) < 1e-9


@pytest.mark.parametrize("kind", [nn.GRU, nn.RNN])
def test_recurrent_networks_are_complete(kind, incompleteness):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent, self.last = kind(4, 6, batch_first=True, bidirectional=True), nn.Linear(12, 2)

        def forward(self, x):
            return self.last(torch.tanh(self.recurrent(x.transpose(1, 2))[0]).mean(1))

    torch.manual_seed(0)
    assert incompleteness(Model().double()) < 1e-9


REFUSED = {
    "Custom": Custom.apply,
    "batch_norm": lambda h: F.batch_norm(h, None, None, training=True),
    "dropout": F.dropout,
    "scatter_reduce": lambda h: h.scatter_reduce(1, torch.zeros_like(h).long(), h.tanh(), "amax"),
    "max_unpool1d": lambda h: F.max_unpool1d(*F.max_pool1d(h, 3, 1, return_indices=True), 3, 1),
    "fractional_max_pool2d": lambda h: F.fractional_max_pool2d(h.view(-1, 2, 6, 10), 2, (3, 4)),
    "torch.func.grad": lambda h: torch.func.grad(lambda a: a.sin().sum())(h),
    "complex": lambda h: torch.fft.fft(h).tanh().abs(),
    "does not depend": lambda h: by_numpy(torch.relu(h)),
    "scatter_reduce_": lambda h: h.clone().scatter_reduce_(1, torch.zeros_like(h).long(), h, "amax"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
def test_refusals_name_the_operation_and_its_module(name, Around):
    model = Around(nn.Sequential(nn.Identity(), Deep(REFUSED[name])))
    with pytest.raises(UnsupportedOperation, match=name) as error:
        deep_lift_shap(model, X, random_state=0, device="cpu")
    if name != "does not depend":
        assert "middle.1" in str(error.value)
        assert "Deep" in str(error.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_script_module_is_refused_with_a_remedy(Around):
    model = nn.Sequential(nn.Conv1d(4, 2, 20), nn.Flatten(), torch.jit.script(nn.ReLU()))
    with pytest.raises(UnsupportedOperation, match=r"'2' is a ScriptModule.*pass the nn.Module"):
        deep_lift_shap(model, X, device="cpu")


def test_data_parallel_is_refused_with_a_remedy():
    model = nn.DataParallel(nn.Sequential(nn.Flatten(), nn.Linear(80, 1)))
    model.device_ids = [0, 1]
    with pytest.raises(UnsupportedOperation, match=r"DataParallel.*\.module"):
        deep_lift_shap(model, X, device="cpu")


@pytest.mark.parametrize("swapped", [True, False])
def test_control_flow_that_depends_on_the_input_is_refused(swapped, Around):
    def branch(h):
        return torch.relu(h) if h[0, 0, 0] > branch.threshold else 1 * h

    branch.threshold = 0.0
    model, pair = Around(branch), X[:2].double()
    firsts = 2 * model.first(pair)[:, 0, 0]
    assert firsts[0] != firsts[1]
    branch.threshold = float(firsts.mean())
    x, r = pair.flip(0) if swapped else pair
    with pytest.raises(UnsupportedOperation, match="control flow depends"):
        deep_lift_shap(model, x[None], references=r[None, None], device="cpu")


def test_a_tuple_as_output_is_refused(Around):
    class Two(nn.Module):
        def forward(self, x):
            return x.sum((1, 2)), x

    with pytest.raises(UnsupportedOperation, match="tuple"):
        deep_lift_shap(Two(), X, device="cpu")


@pytest.mark.parametrize("how", ["module", "in place", "function"])
def test_compiled_models_run_uncompiled(how, Around, incompleteness):
    model = Around(nn.ReLU())
    if how == "module":
        model = torch.compile(model, backend="eager")
    elif how == "in place":
        model.compile(backend="eager")
    else:
        model.middle = None
        compiled = torch.compile(torch.tanh, backend="eager")
        model = Around(lambda h: compiled(h))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert incompleteness(model) < 1e-9
    assert ["the model is compiled" in str(one.message) for one in said] == [True] * (how != "function")
    assert all(one.filename == incompleteness.__code__.co_filename for one in said)


def test_other_peoples_hooks_still_run(Around, incompleteness):
    model, seen = Around(nn.Sequential(nn.ReLU(), nn.MaxPool1d(2))), []
    model.middle[0].register_forward_hook(lambda *_: seen.append("forward"))
    model.middle[0].register_forward_pre_hook(lambda *_: seen.append("before"))
    model.middle[0].register_full_backward_hook(lambda *_: seen.append("backward"))
    model.middle[1].register_forward_hook(lambda module, inputs, output: output.tanh())
    assert incompleteness(model) < 1e-9
    assert {"forward", "before", "backward"} == set(seen)


# Random models.

UNARY = [
    torch.relu, F.gelu, torch.tanh, torch.sigmoid, F.softplus, F.elu, torch.sin, torch.abs, F.hardswish,
    lambda h: torch.exp(h.clamp(max=1)),
    nn.ReLU(inplace=True), lambda h: h.clone().sigmoid_(), lambda h: h**2, lambda h: h.clamp(-0.4, 0.6), F.mish,
    lambda h: torch.log1p(h.abs()), lambda h: torch.sqrt(h.abs() + 0.1), lambda h: torch.where(h > 0.1, h, -0.2 * h),
    lambda h: h.softmax(1), lambda h: h.log_softmax(-1), lambda h: F.layer_norm(h, h.shape[-1:]),
    lambda h: F.group_norm(h, 2), lambda h: F.normalize(h, dim=1), lambda h: h / (1 + h.abs().amax(1, keepdim=True)),
    lambda h: h * torch.sigmoid(h.flip(1)), lambda h: torch.maximum(h, h.roll(1, 1)), lambda h: h - h.mean(2, True),
    lambda h: F.scaled_dot_product_attention(h, h.flip(1), h), lambda h: h @ (h.transpose(1, 2) @ h) / 20,
    lambda h: F.max_pool1d(h, 3, 1, padding=1), lambda h: F.max_pool1d(h, 3, 2, padding=1, dilation=1).repeat(1, 1, 2),
    lambda h: h.permute(2, 0, 1).tanh().permute(1, 2, 0), lambda h: h.std(1, keepdim=True) * h,
    lambda h: torch.logsumexp(h, 1, keepdim=True) - h, lambda h: F.glu(torch.cat([h, h.flip(1)], 1), 1),
    lambda h: h.sort(1).values, lambda h: h.topk(6, dim=2)[0].repeat(1, 1, 2), lambda h: h.cummax(2).values,
    lambda h: h - h.median(1, keepdim=True).values, lambda h: torch.cdist(h, h.flip(1)) @ h / 20,
    lambda h: F.huber_loss(h, h.roll(1, 1), reduction="none", delta=0.3), lambda h: h * h.quantile(0.4, 2, True),
    lambda h: F.max_unpool1d(*F.max_pool1d(h, 3, return_indices=True), 3),
]  # fmt: skip


class Random(nn.Module):
    def __init__(self, seed, parts):
        super().__init__()
        torch.manual_seed(seed)
        self.convolutions = nn.ModuleList([nn.Conv1d(6 if i else 4, 6, 3, padding=1) for i in range(len(parts))])
        self.last = nn.Linear(6 * 12, 2)
        self.parts = parts
        self.double().requires_grad_(False)

    def forward(self, x):
        h = None
        for convolution, (which, skip) in zip(self.convolutions, self.parts, strict=True):
            new = UNARY[which](2 * convolution(x if h is None else h))
            h = new + h if skip and h is not None else new
        return self.last(h.flatten(1))


SOME = st.lists(st.tuples(st.integers(0, len(UNARY) - 1), st.booleans()), min_size=1, max_size=4)


@pytest.mark.filterwarnings("ignore::seqlight.ReferencesWarning")  # twelve characters may have no other order
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**20), parts=SOME)
def test_random_models(seed, parts, incompleteness):
    x = random_one_hot((2, 4, 12), random_state=seed)
    model = Random(seed, parts)
    drawn = [dinucleotide_shuffle(x, n=1, random_state=k)[:, 0] for k in range(2)]
    with torch.no_grad():
        own, *others = (model(one.double())[:, 0] for one in (x, *drawn))
    assume(any(bool((one - own).abs().max() > 1e-6) for one in others))  # or else there is nothing to explain
    assert incompleteness(model, x, n_shuffles=2) < 1e-9


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, derandomize=False, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(2**20, 2**31), parts=SOME)
def test_thousands_of_random_models(seed, parts, incompleteness):
    x, model = random_one_hot((2, 4, 12), random_state=seed), Random(seed, parts)
    shuffled = shuffle(x, n=2, random_state=0).flatten(0, 1)
    outputs = model(x.double())[:, :1], model(shuffled.double())[:, 0].view(2, 2)
    assume((outputs[0] - outputs[1]).abs().mean() > 1e-6)  # relu may leave nothing to explain
    assert incompleteness(model, x, references=shuffled.view(2, 2, 4, 12)) < 1e-9


@pytest.mark.cpu  # a device has the next block in flight
def test_incomplete_attributions_do_not_slow_down_the_rest():
    class Noisy(nn.Module):  # what is lost has nothing to do with partners
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(80, 1).double()

        def forward(self, x):
            runs.append(len(x))
            return torch.relu(self.last(x.flatten(1))) + 0.5 * by_numpy(self.last(x.flatten(1)))

    runs = []
    with pytest.warns(ConvergenceWarning):
        deep_lift_shap(Noisy(), X, n_shuffles=20, batch_size=20, device="cpu", random_state=0)
    # Of each block the worst pair on its own, and once a sequence beside its first reference.
    assert runs == [1, 20, 1, 1, 2, 1, 20, 1, 1, 1, 20, 1, 1]


def test_the_model_is_not_called_more_often_than_necessary(Around):
    model, runs = Around(nn.ReLU()), []
    model.register_forward_pre_hook(lambda module, inputs: runs.append(len(inputs[0])))
    deep_lift_shap(model, X, n_shuffles=20, batch_size=20, device="cpu", random_state=0)
    # Once in a call, a sequence beside its first reference: rows must not be mixed. Then what comes next.
    assert runs == [1, 20, 2, 2, 20, 20]


def test_an_explained_model_can_be_copied(Around):
    model = Around(nn.ReLU())
    deep_lift_shap(model, X, device="cpu")
    copy.deepcopy(model)


def test_the_module_of_a_refused_operation_is_named_once():
    class Mixing(torch.nn.Module):
        def forward(self, x):
            return torch.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5)[0]

    model = torch.nn.Sequential(torch.nn.Sequential(Mixing()), torch.nn.Flatten(), torch.nn.Linear(80, 1))
    with pytest.raises(UnsupportedOperation) as caught:
        deep_lift_shap(model, random_one_hot((1, 4, 20), random_state=0), n_shuffles=1, device="cpu")
    assert str(caught.value).count("in module '0.0' (Mixing)") == 1


def test_an_error_has_no_context_from_an_earlier_one():
    class Refusing(torch.nn.Module):
        """Overwrites what was recorded, and refuses to be run a third time."""

        def __init__(self):
            super().__init__()
            self.layer, self.calls = torch.nn.Linear(80, 1), 0

        def forward(self, x):
            self.calls += 1
            if self.calls > 2:
                raise UnsupportedOperation("not again")
            y = self.layer(x.flatten(1))
            z = y.sigmoid()
            y += 1
            return z * y

    model = Refusing()
    with pytest.raises(UnsupportedOperation, match="not again") as caught:
        deep_lift_shap(model, random_one_hot((1, 4, 20), random_state=0), n_shuffles=1, device="cpu")
    assert model.calls == 3
    assert caught.value.__context__ is None
