"""With channels last in memory, models find what they would find otherwise: the same results, strides and aliases."""

import ctypes
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import seqlight as sl
from multipliers import plain_rules
from seqlight.attribution.engine import channels_last as engine
from seqlight.attribution.engine import policy
from seqlight.attribution.engine.channels_last import ChannelsLastReferenceMode
from seqlight.attribution.kernels import channels_last, convolution

LENGTH, WIDTH = 24, 16


@pytest.fixture(autouse=True)
def _without_loops(monkeypatch):
    """Compute as on a machine without a compiler, and arrange tensors however small they are."""
    monkeypatch.setattr(policy, "compiled", lambda: False)
    monkeypatch.setattr(convolution, "library", lambda: None)
    monkeypatch.setattr(channels_last, "MANY_PRODUCTS", 0)
    with plain_rules():
        yield


@pytest.fixture
def arranged(monkeypatch):
    """Return the shapes of all results that lay with channels last."""
    met, follow = [], ChannelsLastReferenceMode.follow

    def watch(self, y, sources, operands):
        is_new = y not in self.followed
        follow(self, y, sources, operands)
        if is_new and y in self.followed:
            assert y.mT.is_contiguous()
            met.append(tuple(y.shape))

    monkeypatch.setattr(ChannelsLastReferenceMode, "follow", watch)
    return met


class Between(nn.Module):
    """Three convolutions with a residual sum, and what is done between them and the head."""

    def __init__(self, end, middle=None, length=LENGTH):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv1d(4, WIDTH, 7, padding=3), nn.BatchNorm1d(WIDTH)
        self.norm.running_mean.normal_()
        self.second = nn.Conv1d(WIDTH, WIDTH, 3, padding=2, dilation=2)
        self.third, self.head = nn.Conv1d(WIDTH, WIDTH, 5, padding="same"), nn.Linear(WIDTH, 2)
        self.middle, self.end = middle or (lambda h: h), end

    def forward(self, X):
        h = self.norm(self.first(X)).relu()
        h = self.middle(h + F.gelu(self.second(h)))
        h = F.dropout(h - torch.tanh(self.third(h)), training=self.training)
        return self.head(self.end(h))


def mean(h):
    return h.mean(-1)


def view(h):
    return h.view(len(h), WIDTH, -1).sum(-1)


def strides(h):
    assert h.stride() == (h.shape[1] * h.shape[2], h.shape[2], 1)
    assert h.is_contiguous()
    return h.sum(-1)


def numbers(h):
    found = h.detach().numpy()
    assert found.flags["C_CONTIGUOUS"]
    kind = ctypes.c_float if h.dtype == torch.float32 else ctypes.c_double
    assert list((kind * 3).from_address(h.data_ptr())) == found.ravel()[:3].tolist()
    return h.sum(-1)


def write_to_flat(h):
    h = h + 0
    h.flatten(1).mul_(2)  # a view of what lies as usual, and so `h` is twice as large
    return h.sum(-1)


def write_to_view(h):
    h = h + 0
    h[:, :, ::2] = 0
    return h.mean(-1)


def write(h):
    h = h + 0
    h += 1
    h.sub_(0.5)
    return torch.relu_(h).mean(-1)


def pool(h):
    return F.max_pool1d(h, 4).flatten(1).unflatten(1, (WIDTH, -1)).mean(-1)


def transposed(h):
    return (h.mT + 1).contiguous().view(len(h), -1, WIDTH).mean(1)


def joined(h):
    return torch.cat([h, h.flip(2)], 2).mean(-1)


def with_hook(h):
    h.register_hook(lambda grad: grad * 1)
    return h.mean(-1)


ENDS = (mean, view, strides, numbers, write_to_flat, write_to_view, write, pool, transposed, joined, with_hook)


def attributions(model, dtype=None, **settings):
    X = sl.random_one_hot((3, 4, LENGTH), random_state=0)
    return sl.deep_lift_shap(
        model, X, n_shuffles=4, random_state=0, device="cpu", dtype=dtype, hypothetical=True, **settings
    )


@pytest.mark.reliability(
    "memory", "a model asks for views, strides, an address or the memory of a tensor that lay otherwise", "the same"
)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("where", ["end", "middle"])
def test_no_model_can_tell(end, where, arranged):
    middle = (lambda h: h * end(h).unsqueeze(-1).sigmoid()) if where == "middle" else None
    model = Between(end if where == "end" else mean, middle)
    found, exact = (attributions(model, dtype) for dtype in (None, "float64"))
    assert arranged
    assert float((found - exact).abs().max()) <= 1e-4 * float(exact.abs().max())


def test_between_convolutions_all_lies_with_channels_last(arranged):
    attributions(Between(mean), batch_size=4)
    # For each of three batches: three convolutions, batch norm, three activations, and two sums.
    assert len(arranged) == 3 * 9


def test_the_gradient_of_a_mean_over_positions_takes_no_memory(arranged, monkeypatch):
    strides, arrange = [], engine._arrange_gradient
    monkeypatch.setattr(engine, "_arrange_gradient", lambda grad: strides.append(grad.stride()) or arrange(grad))
    attributions(Between(mean), batch_size=12)
    assert strides == [(WIDTH, 1, 0)]


def test_what_is_put_back_at_once_is_never_arranged(arranged):
    model = nn.Sequential(nn.Conv1d(4, WIDTH, 7), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(WIDTH, WIDTH, 3), nn.Flatten())
    attributions(model.append(nn.Linear(7 * WIDTH, 1)))
    assert not arranged


def test_so_many_terms_are_arranged_by_themselves(arranged, monkeypatch):
    monkeypatch.setattr(channels_last, "MANY_TERMS", 3 * WIDTH)
    model = nn.Sequential(nn.Conv1d(4, WIDTH, 7), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(WIDTH, WIDTH, 3), nn.Flatten())
    attributions(model.append(nn.Linear(7 * WIDTH, 1)))
    assert arranged == [(12, WIDTH, 7)]


@pytest.mark.reliability("memory", "a hook keeps what a layer returned", "it lies in memory as usual")
def test_what_a_hook_keeps_lies_as_usual(arranged):
    kept, model = [], Between(mean)
    for layer in (model.first, model.norm, model.second, model.third):
        layer.register_forward_hook(lambda layer, inputs, output: kept.append(output))
    attributions(model)
    assert arranged
    assert all(one.is_contiguous() for one in kept)
    assert kept[-1].detach().view(-1).isfinite().all()


@pytest.mark.reliability("memory", "code that no mode sees cannot do with how a tensor lies", "the same result")
def test_an_error_that_only_a_layout_gives_does_not_reach_the_user(arranged):
    met = []

    def unseen(h):
        with torch._C.DisableTorchFunction():
            met.append(h.is_contiguous())
            h.view(-1)
        return h

    model = Between(mean, unseen)
    found, exact = (attributions(model, dtype) for dtype in (None, "float64"))
    assert arranged
    assert not all(met)
    assert float((found - exact).abs().max()) <= 1e-4 * float(exact.abs().max())


def test_an_error_of_the_model_stays_what_it_is():
    def fails(h):
        raise ZeroDivisionError("of the model")

    with pytest.raises(ZeroDivisionError, match="of the model"):
        attributions(Between(fails))


def test_results_do_not_depend_on_the_size_of_batches(arranged):
    found = [attributions(Between(mean), batch_size=size) for size in (1, 3, 4, 12, 100)]
    assert arranged
    assert all(torch.allclose(one, found[0], rtol=1e-5, atol=1e-6) for one in found)


def test_references_that_equal_their_sequences_meet_the_usual_kernels(arranged):
    X = sl.random_one_hot((1, 4, LENGTH), random_state=0).float()
    mutant = X.clone()
    mutant[0, :, 5] = X[0, :, 5].roll(1)
    sl.deep_lift_shap(Between(mean), X, references=mutant[:, None], device="cpu")
    assert not arranged


def test_the_loops_are_preferred(arranged, monkeypatch):
    monkeypatch.setattr(policy, "compiled", lambda: True)
    attributions(Between(mean))
    assert not arranged


def test_a_scripted_function_gets_tensors_as_usual(arranged):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        flat = torch.jit.script(_flat)
    model = Between(lambda h: flat(h).unflatten(1, (WIDTH, -1)).mean(-1))
    found, exact = (attributions(model, dtype) for dtype in (None, "float64"))
    assert arranged
    assert float((found - exact).abs().max()) <= 1e-4 * float(exact.abs().max())


def _flat(h: torch.Tensor) -> torch.Tensor:
    return h.view(h.size(0), -1) * 2
