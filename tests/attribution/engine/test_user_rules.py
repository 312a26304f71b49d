"""The user's own rules: what they get, what they may return, and what they stand for."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.engine.user_rules import override_rules
from seqlight.errors import ConvergenceWarning, InputError

X = random_one_hot((2, 4, 20), random_state=0)


def rescale(module, grad_input, grad_output):
    """The rescale rule as other implementations write it: sequences first, references second."""
    (x1, x0), (y1, y0) = module.input.chunk(2), module.output.chunk(2)
    m = (y1 - y0) / (x1 - x0)
    m = torch.cat([m, m])
    dx = torch.cat([x1 - x0] * 2)
    return torch.where(dx.abs() < 1e-10, grad_input[0], grad_output[0] * m)


def scaled(module, grad_input, grad_output):
    return (grad_input[0] * 0.5,)


def explain(model, **settings):
    return deep_lift_shap(model, X, n_shuffles=4, random_state=0, device="cpu", raw_outputs=True, **settings)


@pytest.mark.parametrize("key", [nn.ReLU, F.relu, torch.relu, nn.Module])
def test_a_users_rescale_rule_equals_the_built_in_one(key, Around):
    model = Around(nn.ReLU())
    settings = {"additional_nonlinear_ops": {nn.ReLU if key is nn.Module else key: rescale}}
    torch.testing.assert_close(explain(model, **settings), explain(model), rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore::seqlight.errors.ConvergenceWarning")
@pytest.mark.parametrize("key", [torch.relu, F.relu, torch.Tensor.relu])
@pytest.mark.parametrize(
    "spelled", [F.relu, torch.relu, lambda h: h.relu(), lambda h: h.relu_(), nn.ReLU(), nn.ReLU(inplace=True)]
)
def test_a_function_is_overridden_in_every_spelling(key, spelled, Around):
    model = Around(spelled)
    assert not torch.allclose(explain(model, additional_nonlinear_ops={key: scaled}), explain(model))


@pytest.mark.filterwarnings("ignore::seqlight.errors.ConvergenceWarning")
def test_a_class_is_overridden_with_its_subclasses_only(Around):
    class Mine(nn.ReLU):
        pass

    mine, other = Around(Mine()), Around(nn.Tanh())
    assert not torch.allclose(explain(mine, additional_nonlinear_ops={nn.ReLU: scaled}), explain(mine))
    assert torch.equal(explain(other, additional_nonlinear_ops={nn.ReLU: scaled}), explain(other))
    # A function that is not a module's is not the module's business.
    plain = Around(F.relu)
    assert torch.equal(explain(plain, additional_nonlinear_ops={nn.ReLU: scaled}), explain(plain))


def test_an_in_place_module_can_be_overridden(Around):
    found = explain(Around(nn.ReLU(inplace=True)), additional_nonlinear_ops={nn.ReLU: rescale})
    torch.testing.assert_close(found, explain(Around(nn.ReLU())), rtol=1e-9, atol=1e-12)


def test_an_operation_without_a_rule_can_be_overridden(Around):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0].cos()

    class Mine(nn.Module):
        def forward(self, x):
            return Function.apply(x)

    found = explain(Around(Mine()), additional_nonlinear_ops={Mine: rescale})
    torch.testing.assert_close(found, explain(Around(torch.sin)), rtol=1e-9, atol=1e-12)


def test_arguments_of_an_override(Around):
    seen = []

    def look(module, grad_input, grad_output):
        seen.append((module.input, module.output, *grad_input, *grad_output))
        return grad_input

    model = Around(nn.Tanh())
    with pytest.warns(ConvergenceWarning):
        deep_lift_shap(
            model, X, n_shuffles=3, batch_size=6, random_state=0, device="cpu", additional_nonlinear_ops={nn.Tanh: look}
        )
    x, y, plain, out = (one.cpu() for one in seen[0])
    assert {len(one) for one in seen[0]} == {12}
    torch.testing.assert_close(y, x.tanh())
    torch.testing.assert_close(plain, out * (1 - y * y))
    # Sequence i, as often as it has references; the reference index is the major one.
    torch.testing.assert_close(x[:6], 2 * model.first(X.double()).repeat(3, 1, 1))


def test_modules_get_their_forward_back():
    model = nn.Sequential(nn.ReLU(), nn.Tanh())
    own = model[0].forward
    model[0].forward = lambda x: own(x)
    mine = model[0].forward
    with override_rules(model, {nn.ReLU: scaled, nn.Tanh: scaled, nn.Module: scaled}):
        assert model[0].forward is not mine
        assert "forward" in vars(model[1])
    assert model[0].forward is mine
    assert "forward" not in vars(model[1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([nn.ReLU], "additional_nonlinear_ops is a list: expected a mapping .*ReLU: rule"),
        ({nn.ReLU: None}, "the rule for ReLU in additional_nonlinear_ops is None: expected a function of"),
        ({F.relu: lambda module, grad: grad}, r"the rule for relu .* takes \(module, grad\): expected a function of"),
        ({nn.ReLU(): scaled}, "a module of class ReLU as key: expected a module class or a function; use ReLU itself"),
        ({"relu": scaled}, "has the key 'relu': expected a module class or a function"),
        ({int: scaled}, "has the key <class 'int'>: expected a module class or a function"),
    ],
)
def test_invalid_overrides_are_refused_by_name(given, message, Around):
    with pytest.raises(InputError, match=message):
        explain(Around(nn.ReLU()), additional_nonlinear_ops=given)


@pytest.mark.parametrize(
    ("made", "met"), [(None, "None"), ((), "a tuple"), ((None,), "None"), (torch.zeros(3), r"shape \(3,\)")]
)
@pytest.mark.parametrize("key", [nn.ReLU, F.relu])
def test_invalid_results_of_a_rule_are_refused_by_name(key, made, met, Around):
    def mine(module, grad_input, grad_output):
        return made

    with pytest.raises(InputError, match=f"the rule mine .* returned {met}: expected the gradient to pass on"):
        explain(Around(nn.ReLU()), additional_nonlinear_ops={key: mine})


def test_a_rule_may_have_optional_arguments(Around):
    def mine(module, grad_input, grad_output, *more, scale=1.0):
        return rescale(module, grad_input, grad_output)

    model = Around(nn.ReLU())
    found = explain(model, additional_nonlinear_ops={nn.ReLU: mine})
    torch.testing.assert_close(found, explain(model), rtol=1e-9, atol=1e-12)
