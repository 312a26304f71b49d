"""Errors about the dtype or the ids of an input say what to do; other errors are those of the model."""

import re

import pytest
import torch
from torch import nn

import seqlight as sl
from attribution_methods import METHODS

EMBEDDING = nn.Embedding(400, 1)


@pytest.mark.reliability(
    "numbers and ids", "a count track of integers into a convolution", "one sentence that says .float()"
)
@pytest.mark.parametrize("method", ["predict", *METHODS])
def test_integers_that_a_model_does_not_accept(method):
    class Controlled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.other = nn.Conv1d(4, 2, 3), nn.Conv1d(1, 2, 3)

        def forward(self, X, track):
            return (self.conv(X).relu() + self.other(track)).sum(2)

    X, track = sl.random_one_hot((3, 4, 30), random_state=0), torch.arange(90).reshape(3, 1, 30)
    settings = {"args": (track,), "device": "cpu", **METHODS.get(method, {})}
    message = (
        r"the model does not take args\[0\] of int64 and shape \(\d+, 1, 30\) \(.*\): expected .* pass \.float\(\)"
    )
    with pytest.raises(sl.InputError, match=message):
        getattr(sl, method)(Controlled(), X, **settings)
    settings["args"] = (track.float(),)
    getattr(sl, method)(Controlled(), X, **settings)


@pytest.mark.reliability(
    "numbers and ids", "counts of integers as X; ids as floating-point numbers", "one sentence that says what to pass"
)
def test_an_x_that_a_model_does_not_accept():
    with pytest.raises(sl.InputError, match=r"X of int64 and shape \(2, 1, 9\)"):
        sl.predict(nn.Conv1d(1, 2, 3), torch.arange(18).reshape(2, 1, 9), device="cpu")
    with pytest.raises(sl.InputError, match=r"X of float32 and shape \(2, 3\).*\.long\(\) of those that are ids"):
        sl.predict(EMBEDDING, torch.zeros(2, 3), device="cpu")
    with pytest.raises(sl.InputError, match=r"X of int16"):
        sl.predict(EMBEDDING, torch.zeros(2, 3, dtype=torch.int16), device="cpu")


@pytest.mark.reliability(
    "numbers and ids", "one-hot letters for a model of ids", "a sentence that says how it takes letters"
)
@pytest.mark.parametrize("method", ["predict", *METHODS])
def test_letters_for_a_model_of_ids(method):
    model, settings = nn.Sequential(nn.Embedding(4, 1), nn.Flatten()), {"device": "cpu", **METHODS.get(method, {})}
    message = r"expected ids, which have no gradient; .* takes X\.transpose\(1, 2\) @ embedding\.weight in place of"
    with pytest.raises(sl.InputError, match=message):
        getattr(sl, method)(model, sl.random_one_hot((2, 4, 9), random_state=0), **settings)


def test_a_single_sequence_is_no_batch():
    message = r"X of int8 and shape \(4, 9\) \(.*\): expected rows; use X\.unsqueeze\(0\) for one sequence\."
    with pytest.raises(sl.InputError, match=message):
        sl.predict(nn.Conv1d(4, 2, 3), sl.random_one_hot((1, 4, 9), random_state=0)[0], device="cpu")


@pytest.mark.parametrize("method", ["predict", *METHODS])
def test_errors_of_the_model_say_what_it_was_called_with(method):
    settings, model = {"device": "cpu", **METHODS.get(method, {})}, nn.Sequential(nn.Flatten(), nn.Linear(80, 1))
    with pytest.raises(RuntimeError, match="cannot be multiplied") as caught:
        getattr(sl, method)(model, sl.random_one_hot((2, 4, 21), random_state=0), **settings)
    (note,) = caught.value.__notes__
    assert re.fullmatch(
        r"The model was called with X of float32 and shape \(\d+, 4, 21\)\. A model that takes \(rows, positions, "
        r"letters\) goes into a module whose forward calls it with X\.transpose\(1, 2\)\.",
        note,
    )
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        getattr(sl, method)(nn.Bilinear(20, 2, 1), sl.random_one_hot((2, 4, 20), random_state=0), **settings)
    assert caught.value.__notes__[0].endswith(
        "Further inputs are passed as args, a tuple of tensors with a row for each sequence."
    )


@pytest.mark.reliability(
    "numbers and ids", "token ids that the model has no embedding for", "an error with their range"
)
@pytest.mark.parametrize("ids", [[[0, 400]], [[3, -1]]])
def test_ids_without_an_embedding(ids):
    at = rf"X of int64 and shape \(1, 2\), from {min(ids[0])} to {max(ids[0])} .*below the number of its embeddings"
    with pytest.raises(sl.InputError, match=rf"the model has no embedding for one of {at}"):
        sl.predict(EMBEDDING, torch.tensor(ids), device="cpu")


@pytest.mark.parametrize("ids", [[[0, 400]], [[3, -1]]])
def test_ids_without_an_embedding_in_a_bag(ids):
    with pytest.raises(sl.InputError, match=r"the model has no embedding for one of X .* from -?\d+ to \d+"):
        sl.predict(nn.EmbeddingBag(300, 2), torch.tensor(ids), device="cpu")


def test_other_errors_of_the_model_are_raised_unchanged():
    class Broken(nn.Module):
        def forward(self, X):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError) as caught:
        sl.predict(Broken(), torch.zeros(2, 3, dtype=torch.int64), device="cpu")
    assert str(caught.value) == "shapes do not match"
    assert caught.value.__notes__ == ["The model was called with X of int64 and shape (2, 3)."]


class OutOfRange(nn.Module):
    def forward(self, X):
        return [X][1]


def test_other_index_errors_are_raised_unchanged():
    with pytest.raises(IndexError, match="list index"):
        sl.predict(OutOfRange(), torch.zeros(1, 2, dtype=torch.int64), device="cpu")


class Force(nn.Module):
    """The derivative of an energy, as models of molecules return it."""

    def __init__(self, switches_on):
        super().__init__()
        self.switches_on = switches_on

    def forward(self, X):
        with torch.set_grad_enabled(torch.is_grad_enabled() or self.switches_on):
            x = X.detach().requires_grad_(torch.is_grad_enabled())
            (found,) = torch.autograd.grad(x.pow(3).sum(), x)
        return found.flatten(1)


@pytest.mark.reliability(
    "models", "a gradient that a model takes in its forward, in predict or mutagenesis", "a sentence that says how"
)
def test_a_gradient_that_the_model_takes():
    X = sl.random_one_hot((2, 4, 6), random_state=0).float()
    for method in (sl.predict, sl.saturation_mutagenesis):
        with pytest.raises(
            sl.InputError, match=r"takes a gradient in its forward.* write `with torch.enable_grad\(\):`"
        ):
            method(Force(False), X, device="cpu")
    torch.testing.assert_close(sl.predict(Force(True), X, device="cpu"), 3 * X.flatten(1))
