"""A user's own autograd functions: integrated with their own backward, or refused if that is no derivative."""

import threading

import pytest
import torch
from torch import nn
from torch.autograd.function import _SingleLevelFunction

from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.engine.autograd_functions import announce_functions
from seqlight.errors import IntegratedWarning, UnsupportedOperation
from user_operations import StraightThrough

X = random_one_hot((3, 4, 20), random_state=1)


class Sine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor=2.0):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return (factor * x).sin()

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.factor * (ctx.factor * ctx.saved_tensors[0]).cos(), None


class Two(torch.autograd.Function):
    @staticmethod
    def forward(x, y):
        return x * y, x.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, a, b):
        x, y = ctx.saved_tensors
        return a * y + b * x.exp(), a * x


class Kinked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx, grad):
        return grad * (ctx.saved_tensors[0] > 0)


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -grad


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.tanh()

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad


class InPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad


class Module(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def behind_another_mode(h):
    with torch.device("cpu"):
        return Sine.apply(h)


bound_before = Sine.apply
EXPLAINED = {
    "called": lambda h: Sine.apply(h, 1.5),
    "bound before": lambda h: bound_before(h),
    "in a module": Module(Sine.apply),
    "new style, two of each": lambda h: torch.cat(Two.apply(h, h.flip(1)), 1),
    "kinked": Kinked.apply,
    "among others": lambda h: Sine.apply(torch.relu(h)) * torch.sigmoid(Kinked.apply(h) + h.sin()),
    "behind another mode": lambda h: behind_another_mode(h),
    "reused": lambda h: Sine.apply(Sine.apply(h)),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_integrated_with_one_warning(name, Around, incompleteness):
    with pytest.warns(IntegratedWarning, match="has no exact rule: its Jacobian is integrated") as said:
        assert incompleteness(Around(EXPLAINED[name])) < 1e-6
    names = [str(one.message).split()[0] for one in said]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("function", [StraightThrough, Reversed, Doubled, InPlace])
@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
def test_a_backward_that_is_not_the_derivative_is_refused(function, Around):
    model = Around(nn.Sequential(nn.Identity(), Module(lambda h: function.apply(h.clone()))))
    with pytest.raises(UnsupportedOperation, match=rf"{function.__name__}.*(middle\.1|integrating)"):
        deep_lift_shap(model, X, random_state=0, device="cpu")
    assert "apply" not in vars(_SingleLevelFunction)


@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
@pytest.mark.parametrize("name", EXPLAINED)
def test_each_pair_is_explained_on_its_own(name, Around):
    settings = {"n_shuffles": 4, "random_state": 0, "device": "cpu", "raw_outputs": True}
    together = deep_lift_shap(Around(EXPLAINED[name]), X, batch_size=64, **settings)
    alone = deep_lift_shap(Around(EXPLAINED[name]), X[1:2], batch_size=1, **settings)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-6, atol=1e-9)


def test_an_elementwise_function_with_kinks_has_secants(Around):
    def explain(function):
        return deep_lift_shap(Around(function), X, random_state=0, device="cpu", raw_outputs=True)

    with pytest.warns(IntegratedWarning):
        found = explain(Kinked.apply)
    torch.testing.assert_close(found, explain(torch.relu), rtol=1e-6, atol=1e-9)


def test_the_patch_is_removed_and_other_threads_are_unaffected():
    found = []

    def elsewhere():
        x = torch.ones(2, requires_grad=True)
        Sine.apply(x).sum().backward()
        found.append(x.grad)

    with announce_functions(), announce_functions():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        elsewhere()
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], 2 * torch.full((2,), 2.0).cos())
    with pytest.raises(KeyError), announce_functions():
        raise KeyError
    assert "apply" not in vars(_SingleLevelFunction)
    elsewhere()
    torch.testing.assert_close(found[0], found[2])
