"""Input times gradient against finite differences, and on models that are awkward to differentiate."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import seqlight as sl
from seqlight import random_one_hot
from seqlight.attribution.methods.gradients import input_x_gradient

pytestmark = pytest.mark.accelerator

LENGTH = 10


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(4, 5, 3, padding=1)
        self.head = nn.Linear(5 * LENGTH, 3)

    def forward(self, X):
        return torch.tanh(self.head(self.hidden(X).flatten(1)))

    def hidden(self, X):
        return nn.functional.gelu(self.conv(X))


class InPlace(Net):
    def hidden(self, X):
        X *= 1
        return super().hidden(X)


class Reentrant(Net):
    def hidden(self, X):
        return checkpoint(super().hidden, X, use_reentrant=True)


class Checkpointed(Net):
    def hidden(self, X):
        return checkpoint(super().hidden, X, use_reentrant=False)


class Mapped(Net):
    def hidden(self, X):
        return torch.vmap(super().hidden)(X)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.head = nn.LSTM(4, 6, batch_first=True, bidirectional=True), nn.Linear(12, 3)

    def forward(self, X):
        return self.head(self.lstm(X.transpose(1, 2))[0].mean(1))


@pytest.fixture
def X():
    X = random_one_hot((4, 4, LENGTH), random_state=0)
    X[2, :, 4] = 0
    return X


def explain(model, X, **settings):
    return input_x_gradient(model, X, **{"device": "cpu", **settings})


@torch.no_grad()
def differences(model, X, target, step=1e-6):
    """Return the gradient at X by central differences, an entry at a time."""
    found = torch.zeros(X.shape, dtype=torch.float64)
    for row, letter, position in torch.ones(X.shape).nonzero():
        ends = []
        for side in (step, -step):
            x = X[row : row + 1].double()
            x[0, letter, position] += side
            ends.append(model(x)[0, target])
        found[row, letter, position] = (ends[0] - ends[1]) / (2 * step)
    return found


# The warning comes from the test, which calls the model without gradients.
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
@pytest.mark.parametrize("make", [Net, InPlace, Reentrant, Checkpointed, Mapped, Recurrent])
def test_gradients_equal_finite_differences(X, make):
    model = make().double()
    plain = explain(model, X, target=1, correction=False)
    wanted = differences(model, X, 1)
    torch.testing.assert_close(plain.hypothetical, wanted, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(plain.attributions, wanted * X, rtol=1e-6, atol=1e-9)
    corrected = explain(model, X, target=1, batch_size=3)
    centred = plain.hypothetical - plain.hypothetical.mean(1, keepdim=True)
    torch.testing.assert_close(corrected.hypothetical, centred, rtol=0, atol=1e-15)
    torch.testing.assert_close(corrected.attributions, centred * X, rtol=0, atol=1e-15)
    with torch.no_grad():
        torch.testing.assert_close(corrected.outputs, model(X.double())[:, 1])


@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated:DeprecationWarning")
def test_a_scripted_model(X):
    model = nn.Sequential(Net(), nn.BatchNorm1d(3)).double()
    scripted = torch.jit.script(model)
    before = (
        [(p.data_ptr(), p.requires_grad) for p in scripted.parameters()],
        [b.data_ptr() for b in scripted.buffers()],
    )
    found = explain(scripted, X)
    torch.testing.assert_close(found.attributions, explain(model, X).attributions)
    torch.testing.assert_close(found.outputs, sl.predict(scripted, X, device="cpu")[:, 0])
    after = [(p.data_ptr(), p.requires_grad) for p in scripted.parameters()], [b.data_ptr() for b in scripted.buffers()]
    assert after == before
    assert scripted.training


def test_fields_that_do_not_apply_are_none(X):
    found = explain(Net(), X, target=[0, 1])
    assert found.method == "input_x_gradient"
    for name in ("reference_outputs", "deltas", "standard_error", "n_references", "references", "multipliers",
                 "random_state", "relative_deltas", "differences"):  # fmt: skip
        assert getattr(found, name) is None
    assert found.outputs.shape == (4, 2)
    assert found.of_target(1).attributions.shape == X.shape


class Detached(Net):
    def hidden(self, X):
        return super().hidden(X.detach())


def test_an_output_that_autograd_does_not_follow_is_refused(X):
    with pytest.raises(sl.UnsupportedOperation, match="does not depend on the sequence"):
        explain(Detached(), X)


def test_autocast_of_the_caller_is_ignored(X):
    model = Net()
    wanted = explain(model, X)
    with torch.autocast("cpu", torch.bfloat16):
        found = explain(model, X)
    assert torch.equal(found.attributions, wanted.attributions)
    asked = explain(model, X, dtype="bfloat16")
    assert 0 < (asked.attributions - wanted.attributions).abs().max() < 0.05
