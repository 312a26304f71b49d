"""Mutants of which only windows are computed, against the same model on the mutants as they are."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.followed_models import FOLLOWED, Lambda, c, make_followed, written_views
from torch import nn

import seqlight as sl
from seqlight.prediction.changed_windows import table
from seqlight.prediction.changed_windows.changed_tensor import ChangedTensor, whole
from seqlight.prediction.changed_windows.reference_outputs import ReferenceOutputs
from seqlight.prediction.changed_windows.windows import PlainWindows
from seqlight.prediction.outputs import flatten_structure, map_structure

LENGTH = 90


def sequence(length=LENGTH):
    return sl.random_one_hot((1, 4, length), random_state=0).double()


def mutants(X, positions):
    """Return mutants in windows and in full, a letter further at each position."""
    letters = (X[0].argmax(0)[positions] + 1) % 4
    values = nn.functional.one_hot(letters, 4).to(X)[:, :, None]
    full = X.repeat(len(positions), 1, 1)
    full[torch.arange(len(positions)), :, positions] = values[:, :, 0]
    return PlainWindows(X, values, positions, 2), full


@torch.no_grad()
def follow(model, X, positions, outputs=None):
    """Return the outputs for mutants by windows, and in full."""
    windows, full = mutants(X, torch.as_tensor(positions))
    found = map_structure(whole, model(ChangedTensor(windows, outputs or ReferenceOutputs())))
    return flatten_structure(found), flatten_structure(model(full))


def assert_equal(both):
    for found, wanted in zip(*both, strict=True):
        assert type(found) is torch.Tensor
        # In float32 as ROUNDING of seqlight.attribution.methods.changed_mutants: of the largest output.
        atol = 1e-10 if wanted.dtype == torch.float64 else 1e-5 * max(1.0, float(wanted.abs().max()))
        torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


PLACES = [range(9), range(40, 49), range(81, 90), [0, 1, 44, 88, 89], [50] * 3]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", FOLLOWED)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_windows_give_what_the_whole_gives(name, dtype):
    """In float32 the channels of each position lie side by side."""
    model, X, outputs = make_followed(name, LENGTH).to(dtype), sequence().to(dtype), ReferenceOutputs()
    for positions in PLACES:  # the second and later ones find what the first made of the reference
        assert_equal(follow(model, X, list(positions), outputs))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_windows_of_any_network(data):
    def draw(first, last):
        return data.draw(st.integers(first, last))

    length, channels, layers = draw(40, 120), 4, []
    torch.manual_seed(draw(0, 99))
    for _ in range(draw(1, 5)):
        out, kernel, dilation = 2 * draw(1, 2), draw(1, 5), draw(1, 3)
        kind = data.draw(st.sampled_from("convolution pool average residual act norm".split()))
        if kind == "convolution":
            layers.append(c(channels, out, kernel, stride=draw(1, 3), dilation=dilation, padding=draw(0, 4)))
            channels = out
        elif kind == "pool":
            layers.append(nn.MaxPool1d(kernel, draw(1, 4), padding=draw(0, kernel // 2), ceil_mode=bool(draw(0, 1))))
        elif kind == "average":
            layers.append(nn.AvgPool1d(kernel, draw(1, 4), padding=draw(0, kernel // 2)))
        elif kind == "residual":
            inner = c(channels, channels, 3, padding=dilation, dilation=dilation)
            layers.append(Lambda(lambda x, inner: x + inner(x), inner))
        else:
            layers.append(nn.GELU() if kind == "act" else nn.BatchNorm1d(channels))
    dtype = data.draw(st.sampled_from([torch.float64, torch.float32]))
    model, X = nn.Sequential(*layers).to(dtype).eval(), sequence(length).to(dtype)
    positions = data.draw(st.lists(st.integers(0, length - 1), min_size=2, max_size=6))
    try:
        model(X)
    except RuntimeError:  # nothing is left of so short a sequence
        return
    assert_equal(follow(model, X, positions))


def test_only_windows_are_computed():
    widths = []

    def note(x):
        widths.append(x.windows.width)
        return x

    model = nn.Sequential(c(4, 6, 5), Lambda(note), nn.ReLU(), nn.MaxPool1d(2), Lambda(note), c(6, 6, 3), Lambda(note))
    model.double()
    follow_windows, _ = mutants(sequence(), torch.arange(40, 44))
    outputs = ReferenceOutputs()
    model(ChangedTensor(follow_windows, outputs))
    assert widths == [5, 3, 5]
    assert outputs.spent < outputs.whole / 5


def test_a_model_reads_shape_and_numbers_of_the_whole():
    windows, full = mutants(sequence(), torch.arange(3))
    one = ChangedTensor(windows, ReferenceOutputs())
    assert one.shape == full.shape
    assert one.size(2) == len(full[0, 0])
    assert one.ndim == 3
    assert len(one) == 3
    assert one.dtype == full.dtype
    assert one.numel() == full.numel()
    assert one.device == full.device
    assert one[1, :, 1].tolist() == full[1, :, 1].tolist()
    assert one.sum().item() == full.sum().item()
    assert torch.equal(whole(one), full)
    assert whole(one) is whole(one)
    assert whole("anything else") == "anything else"


@pytest.mark.reliability(
    "Running a model",
    "a model writes to a tensor of which it holds another view, while mutants are computed in windows",
    "it is refused there, so that the mutants are computed in full",
)
def test_written_views_are_refused():
    model = Lambda(written_views, c(4, 6, 3)).double()
    with pytest.raises(sl.UnsupportedOperation, match="other views"):
        follow(model, sequence(), [1, 2])


def test_elements_that_are_written_behind_a_view_are_refused():
    def forward(x, conv):
        y = conv(x)
        z = y.transpose(1, 2)
        y[:, :, 40:45] = 0
        return z

    with pytest.raises(sl.UnsupportedOperation, match="other views"):
        follow(Lambda(forward, c(4, 6, 3)).double(), sequence(), [41, 42])


@pytest.mark.reliability(
    "Running a model",
    "a model multiplies by a buffer that it fills anew in each forward, while mutants are computed in windows",
    "what is known of the sequence is computed again",
)
def test_buffers_that_are_written_between_calls():
    scale, filled = torch.ones(1, dtype=torch.float64), []

    def forward(x, conv):
        scale.fill_(1 + len(filled))
        return conv(x) * scale

    model, X, outputs = Lambda(forward, c(4, 6, 3)).double(), sequence(), ReferenceOutputs()
    for _ in range(2):
        found, wanted = follow(model, X, [10, 20], outputs)
        torch.testing.assert_close(found[0], wanted[0], rtol=1e-12, atol=1e-12)
        filled.append(None)


def test_what_is_below_functions_is_refused():
    windows, _ = mutants(sequence(), torch.arange(3))
    with torch._C.DisableTorchFunctionSubclass(), pytest.raises(sl.UnsupportedOperation, match="no numbers"):
        torch.relu(ChangedTensor(windows, ReferenceOutputs()))


def test_a_rule_that_is_wrong_would_be_seen(monkeypatch):
    monkeypatch.setitem(table.RULES, "cumsum", table.RULES["relu"])
    model = Lambda(lambda x, a: torch.cumsum(a(x), 2), c(4, 6, 3)).double()
    found, wanted = follow(model, sequence(), [40, 41])
    assert not torch.allclose(found[0], wanted[0])
