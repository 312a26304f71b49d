"""The transforms of torch.func: vmap is explained row by row, derivatives are refused."""

import pytest
import torch
from torch._functorch import apis, eager_transforms

from seqlight import deep_lift_shap, random_one_hot
from seqlight.attribution.engine import func_transforms
from seqlight.errors import UnsupportedOperation

mapped_before = torch.vmap(lambda row: torch.softmax(row, 0) @ row.T)
MODELS = {
    "the batch": lambda h: mapped_before(h),
    "positions": lambda h: torch.vmap(lambda a: a.tanh() * a.sum(1, keepdim=True), in_dims=2, out_dims=-1)(h),
    "one of two": lambda h: torch.func.vmap(lambda a, b: (a * b, a.exp()), in_dims=(1, None), out_dims=1)(h, 2.0)[0],
    "nested": lambda h: torch.vmap(torch.vmap(torch.tanh))(h),
    "in chunks": lambda h: torch.vmap(torch.tanh, in_dims=1, out_dims=1, chunk_size=2)(h),
    "a dictionary": lambda h: torch.vmap(lambda d: {"y": d["a"].exp()}, in_dims=1, out_dims=1)({"a": h})["y"],
}


@pytest.mark.parametrize("name", MODELS)
def test_mapped_functions_are_explained(name, Around, incompleteness):
    assert incompleteness(Around(MODELS[name])) < 1e-9


DERIVATIVES = {
    "grad": lambda h: torch.func.grad(lambda a: a.sin().sum())(h),
    "grad_and_value": lambda h: torch.func.grad_and_value(lambda a: a.sin().sum())(h)[0],
    "vjp": lambda h: torch.func.vjp(torch.sin, h)[1](torch.ones_like(h))[0],
    "jvp": lambda h: torch.func.jvp(torch.sin, (h,), (torch.ones_like(h),))[1],
    "grad, mapped": lambda h: torch.vmap(torch.func.grad(lambda a: a.sin().sum()))(h),
    "vjp, as jacrev": lambda h: torch.func.jacrev(lambda a: a.sin().sum((1, 2)))(h).sum(0),
    "jvp, as jacfwd": lambda h: torch.func.jacfwd(lambda a: a.sin().sum((1, 2)))(h).sum(0),
}


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch.func.jvp's own
def test_derivatives_are_refused(name, Around):
    before = {one: vars(eager_transforms)[one] for one in func_transforms.DERIVATIVES}, apis.vmap_impl
    model = Around(DERIVATIVES[name], features=120)
    with pytest.raises(UnsupportedOperation, match=rf"torch\.func\.{name.split(',')[0]} takes a derivative"):
        deep_lift_shap(model, random_one_hot((2, 4, 20), random_state=0), device="cpu", random_state=0)
    assert before == ({one: vars(eager_transforms)[one] for one in func_transforms.DERIVATIVES}, apis.vmap_impl)
    x = torch.rand(2, 6, 20)
    torch.testing.assert_close(DERIVATIVES[name](x), x.cos())


def test_vmapped_values_are_unchanged():
    x = torch.rand(3, 4, 5)
    calls = [
        lambda: torch.vmap(torch.sum)(x),
        lambda: torch.vmap(lambda a, b: (a + b, a), in_dims=(1, 2), out_dims=(1, 0))(x, x.mT),
        lambda: torch.vmap(lambda a: {"x": a.exp(), "y": a[0]}, in_dims=-1, out_dims={"x": -1, "y": 0})(x),
        lambda: torch.vmap(lambda a, scale: a * scale, in_dims=1)(x, scale=torch.ones(3, 1)),
    ]

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    for call in calls:
        plain = call()
        with func_transforms.replace_transforms(), Mode():
            found = call()
        torch.testing.assert_close(found, plain)
