"""What a forward or hook leaves behind and nobody reads decides nothing; what is read counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqlight.results.fingerprints import describe_argument, fingerprint_model


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.maps, self.by_length, self.ready = 2.0, [], {}, None

    def forward(self, x):
        self.weights = x.softmax(-1)
        self.maps.append(x.detach())
        self.by_length[x.shape[-1], "end"] = x
        return self.kept(x) * self.scale

    def kept(self, x):
        self.seen = self.last = x
        self.ready = True
        return x


@pytest.mark.reliability("runs begun again", "a model that keeps attention maps, called before", "the run goes on")
def test_what_a_forward_only_writes_does_not_count():
    model = Attention()
    before = fingerprint_model(model)
    model(torch.ones(2, 3))
    assert model.maps
    assert model.ready
    assert hasattr(model, "weights")
    assert fingerprint_model(model) == before
    model.scale = 3.0
    assert fingerprint_model(model) != before


class Looks(Attention):
    def again(self):
        return self.weights, len(self.maps)


class Calibrated(nn.Module):
    mean = None

    def forward(self, x):
        if self.mean is None:
            self.mean = x.mean()
        return x - self.mean


class Grows(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(x)
        return x * len(self.seen)


class Before(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = Attention()

    def forward(self, x):
        return self.part(x) * getattr(self.part, "seen", 1)


class Set(nn.Module):
    def forward(self, x):
        return x

    def set_gain(self, gain):
        self.gain = gain


@pytest.mark.reliability("runs begun again", "a model that reads what an earlier call has left on it", "told apart")
@pytest.mark.parametrize(
    "model",
    [Looks(), Calibrated(), Grows(), nn.Sequential(nn.Identity(), Calibrated()), Before()],
    ids=lambda one: str(type(one)),
)
def test_what_is_read_somewhere_counts(model):
    before = fingerprint_model(model)
    model(torch.ones(2, 3))
    assert fingerprint_model(model) != before


def test_what_another_method_sets_counts():
    model = Set()
    model.set_gain(1)
    before = fingerprint_model(model)
    model.set_gain(2)
    assert fingerprint_model(model) != before


SEEN, FEATURES = [], {}


def collect(module, inputs, output):
    SEEN.append(output.detach())
    FEATURES["last", len(inputs)] = output


def collector(name, into):
    def hook(module, inputs, output):
        into[name] = output.detach()

    return hook


@pytest.mark.reliability("runs begun again", "a hook that collects activations, after a call", "the run goes on")
def test_what_hooks_collect_does_not_count():
    model, kept, listed = nn.Sequential(nn.Identity()), {}, []
    model[0].register_forward_hook(collect)
    model[0].register_forward_hook(collector("a", kept))
    model[0].register_forward_hook(lambda module, inputs, output: listed.append(output))
    before = fingerprint_model(model)
    model(torch.ones(1))
    assert all((SEEN, FEATURES, kept, listed))
    assert fingerprint_model(model) == before


def memo(kept):
    def target(y):
        kept["calls"] = kept.get("calls", 0) + 1
        return y * kept["gain"]

    return target


def through(kept):
    def target(y):
        kept["y"] = y
        return (lambda: kept["gain"] * y)()

    return target


class Recorder(list):
    def append(self, y):
        y *= self[0]


def recorded(kept):
    def target(y):
        kept.append(y)
        return y

    return target


@pytest.mark.parametrize(
    ("make", "one", "other"),
    [
        (memo, {"gain": 1}, {"gain": 2}),
        (through, {"gain": 1}, {"gain": 2}),
        (recorded, Recorder([1]), Recorder([2])),
    ],
)
def test_a_container_that_is_also_read_counts(make, one, other):
    assert describe_argument(make(one)) != describe_argument(make(other))
    assert describe_argument(make(one)) == describe_argument(make(type(one)(one)))
