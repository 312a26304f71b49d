"""Each refusal can be reached, by a model if it is about models, and says what to do."""

import ast
import contextlib
import re
import warnings
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention

import seqlight as sl
from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.partners import align_partners
from seqlight.attribution.engine.row_layout import find_row_layout
from seqlight.attribution.kernels.attention import Operands, Recording, require_pairs
from seqlight.attribution.rules.order_statistics import Selection, crossing_value
from seqlight.attribution.rules.steps import Layer
from user_operations import StraightThrough, by_numpy

X = sl.random_one_hot((2, 4, 40), random_state=0).float()


class Stem(nn.Module):
    """A convolution, what comes between, and the mean of that."""

    def __init__(self, between):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.between = nn.Conv1d(4, 8, 5, padding=2), between

    def forward(self, X):
        y = self.between(self.stem(X))
        return y.flatten(1).mean(1, keepdim=True) if isinstance(y, torch.Tensor) else y


class Around(nn.Module):
    """A function of the sequence and of a stem."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.function = nn.Conv1d(4, 8, 5, padding=2), function

    def forward(self, X):
        return self.function(lambda x: self.stem(x).tanh().flatten(1).mean(1, keepdim=True), X)


def branch(f, x):
    return f(x) if float(x.sum()) > 0 else torch.sigmoid(x).mean((1, 2))[:, None]


def shifted(h):
    weights = torch.exp(2 * (h - h.max()))  # cancels below, but not in multipliers
    return h * weights / weights.sum(dim=2, keepdim=True)


def inner(f, x):
    (found,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    return found.flatten(1).mean(1, keepdim=True)


def langevin(h):
    (step,) = torch.autograd.grad((h * h).sum(), h, create_graph=True)
    return h - 0.1 * step


def jacobian(f, x):
    found = torch.autograd.functional.jacobian(lambda x: f(x).sum(), x, create_graph=True)
    return found.flatten(1).mean(1, keepdim=True)


def vjp(f, x):
    return torch.autograd.functional.vjp(lambda x: f(x).sum(), x, create_graph=True)[1].flatten(1).mean(1, keepdim=True)


def without_gradients(f, x):
    with torch.no_grad():
        return f(x)


def pooled(kernel, stride, places=lambda at: at):
    def between(h):
        y, at = F.max_pool1d(h, kernel, stride, return_indices=True)
        return F.max_unpool1d(y, places(at), kernel, stride)

    return between


def attending(h):
    q = h.unflatten(1, (2, 4)).mT
    return flex_attention(q, q, q)


def sorted_rows(x1, x0):
    """Positions where rows should be: what deep_lift_shap meets it tries another way, and says what comes of that."""
    rule, calls = (
        Selection(crossing_value),
        [Call.from_arguments("op", lambda x: torch.sort(x), (one.requires_grad_(),), {}) for one in (x1, x0)],
    )
    return rule.explain(calls[1], rule.observe(calls[0], False)[1], False)


def plain():
    return nn.Sequential(nn.Conv1d(4, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 1)).eval()


def for_fixed_rows():
    return torch.export.export(plain(), (X,)).module()


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(plain(), {nn.Linear}, dtype=torch.qint8)


def fake_quantised():
    return nn.Sequential(plain(), torch.ao.quantization.FakeQuantize()).eval()


def parallel():
    model = nn.DataParallel(nn.Linear(40, 1))
    model.device_ids = [0, 1]
    return model


def parallel_in_part():
    return nn.Sequential(parallel(), nn.Flatten())


def refilled():
    kept = torch.empty(0)
    return lambda h: kept.resize_(h.shape).copy_(h) * 2


def scaled_in_inference_mode():
    with torch.inference_mode():
        scale = torch.full((8, 40), 2.0)
    return lambda h: h * scale


MODELS = {
    "rows that are mixed": lambda: Stem(lambda h: h - h.mean(0)),
    "out=": lambda: Stem(lambda h: torch.sigmoid(h, out=torch.empty_like(h))),
    "out= of a linear operation": lambda: Stem(lambda h: torch.add(h, 1, out=torch.empty_like(h))),
    "a buffer that is filled anew": lambda: Stem(refilled()),
    "a constant of inference mode": lambda: Stem(scaled_in_inference_mode()),
    "random numbers in place": lambda: Stem(lambda h: h.exponential_()),
    "batch statistics": lambda: Stem(lambda h: F.batch_norm(h, None, None, training=True)),
    "control flow that depends on the input": lambda: Around(branch),
    "no gradients": lambda: Around(lambda f, x: by_numpy(f(x))),
    "a scripted function": lambda: Stem(torch.jit.trace(lambda h: h.tanh() * h, torch.zeros(2, 8, 40))),
    "a scripted model": lambda: torch.jit.trace(plain(), X),
    "a parallel model": parallel,
    "part of it parallel": parallel_in_part,
    "a dict": lambda: Stem(lambda h: {"a": h, "b": h}),
    "torch.func.grad": lambda: Around(lambda f, x: torch.func.grad(lambda x: f(x).sum())(x).mean((1, 2))[:, None]),
    "a gradient inside": lambda: Around(inner),
    "a gradient of a square": lambda: Stem(langevin),
    "a Jacobian inside": lambda: Around(jacobian),
    "a vjp inside": lambda: Around(vjp),
    "a straight-through estimator": lambda: Stem(StraightThrough.apply),
    "no derivative": lambda: Stem(lambda h: torch.geqrf(h)[0]),
    "places of unknown origin": lambda: Stem(pooled(2, 2, lambda at: at + 0)),
    "several values to one place": lambda: Stem(pooled(3, 1)),
    "windows of padding": lambda: Stem(lambda h: F.max_pool1d(h, 2, 1, 1, 41)),
    "dropout": lambda: Stem(lambda h: F.dropout(h)),
    "fractional pooling": lambda: Stem(lambda h: F.fractional_max_pool2d(h, (2, 2), output_size=(4, 20))),
    "complex quotients": lambda: Stem(lambda h: (torch.fft.rfft(h) / torch.fft.rfft(h.flip(1))).real),
    "complex results": lambda: Stem(lambda h: torch.linalg.eigvals(h[:, :, :8]).abs()),
    "complex numbers": lambda: Stem(lambda h: torch.fft.rfft(h).tanh().real),
    "no gradient of flex_attention": lambda: sl.input_x_gradient(Stem(attending), X, device="cpu"),
    "a sort of rows": lambda: Stem(lambda h: h.sort(0).values),
    "igamma of two": lambda: Stem(lambda h: torch.igamma(h.exp(), h.exp())),
    "flex_attention": lambda: Stem(attending),
    "an exported program of fixed size": for_fixed_rows,
    "quantised weights": quantised,
    "quantised weights to be": fake_quantised,
    "a sparse tensor": lambda: Stem(lambda h: h.to_sparse().to_dense()),
    "a sparse matrix": lambda: Stem(lambda h: h.flatten(1).to_sparse_csr().to_dense()),
    "a maximum over rows": lambda: Stem(shifted),
}


class RowByRow(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv1d(4, 1, 3)

    def forward(self, x):
        return torch.cat([self.body(row[None]).mean(-1) for row in x])


def steps_of(n):
    x = torch.zeros(n, 3, 4)
    return Layer(x, [x[0]], x, [torch.zeros(4, 4)] * 2)


# Refusals of single functions: no model reaches them here by itself, or they are those of another method.
OTHERS = {
    "steps along the batch": lambda: next(steps_of(8).backwards(steps_of(2))),
    "shapes": lambda: align_partners(torch.zeros(2, 3), torch.zeros(5, 3)),
    "heads": lambda: require_pairs(
        Recording(*[torch.zeros(2, 3, 4, 5)] * 3, None, None, None), Operands(*[torch.zeros(2, 3, 8, 5)] * 3)
    ),
    "no gradients": lambda: sl.integrated_gradients(Around(without_gradients), X, device="cpu"),
    "no gradient of flex_attention": lambda: sl.input_x_gradient(Stem(attending), X, device="cpu"),
    "a sort of rows": lambda: sorted_rows(torch.randn(3, 2), torch.randn(3, 4)),
    "an activation without rows": lambda: find_row_layout(torch.zeros(3, 4), torch.zeros(3, 4), "body"),
    "modules called once a row": lambda: sl.attribute(RowByRow(), X, layers=["body"], n_shuffles=2, random_state=0),
    "written to afterwards": lambda: sl.differentiable_attributions(Stem(lambda h: (h.relu(), h.zero_())[0]), X),
    "several outputs": lambda: sl.saturation_mutagenesis(Stem(lambda h: {"a": h, "b": h}), X, device="cpu"),
}


@cache
def refused(name):
    """Return what is said, or nothing."""
    with contextlib.suppress(sl.IntegratedWarning), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if name in MODELS:
                references = torch.zeros(2, 3, 4, 40)
                sl.deep_lift_shap(MODELS[name](), X, references=references, device="cpu")
            else:
                OTHERS[name.removeprefix("other: ")]()
        except sl.UnsupportedOperation as error:
            return str(error)
    return ""


REMEDIES = re.compile(
    "use |pass |replace |write |leave |look |switch |export |keep |let |explain |choose |expected |detach "
)


@pytest.mark.reliability(
    "models that cannot be explained",
    "39 models: gradients inside, quantised, exported for one size, flex_attention, sparse and complex tensors ...",
    "refused by name, with what to do instead",
)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_refused_by_name(name):
    assert REMEDIES.search(refused(name)), refused(name) or "it is not refused"


def statements():
    """Yield where UnsupportedOperation is raised in the attribution, and the longest piece of what is said."""
    for path in sorted((Path(sl.__file__).parent / "attribution").rglob("*.py")):
        raised = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise))
        for node in raised:
            if getattr(getattr(node.exc, "func", None), "id", "") == "UnsupportedOperation":
                said = [one.value for one in ast.walk(node) if isinstance(getattr(one, "value", None), str)]
                yield f"{path.stem}:{node.lineno}", max(said, key=len)


@pytest.mark.parametrize(("where", "said"), [pytest.param(*one, id=one[0]) for one in statements()])
def test_each_refusal_can_be_reached(where, said):
    found = [refused(name) for name in (*MODELS, *(f"other: {one}" for one in OTHERS))]
    assert any(said in one for one in found), f"no model here meets what {where} says: {said!r}"


@pytest.mark.reliability(
    "models that cannot be explained",
    "gradients of a quantised model, alone or beside a path that has one; of outputs that are true or false",
    "refused by name, and no gradient of a part of the model",
)
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("method", ["input_x_gradient", "integrated_gradients"])
def test_gradient_methods_refuse_outputs_without_a_gradient(method):
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.within = quantised()

        def forward(self, X):
            return self.within(X) + X.flatten(1).sum(dim=1, keepdim=True)

    class Yes(nn.Module):
        def forward(self, X):
            return X.flatten(1)[:, :2] > 0

    filled = Stem(lambda h: torch.add(h, 1, out=torch.empty_like(h)))
    wrong = [
        (quantised(), "a quantised"),
        (filled, r"add with out= hides .*: use its result\. This happens in the model"),
        (Beside(), "a quantised"),
        (Yes(), "does not depend on"),
    ]
    for model, message in [*wrong, (Stem(attending), "flex_attention has no gradient on the CPU: use ")]:
        with pytest.raises(sl.UnsupportedOperation, match=message):
            getattr(sl, method)(model, X, device="cpu")


@pytest.mark.reliability(
    "models",
    "a forward that starts anew, with `X = Variable(X, requires_grad=True)` or `X.detach().requires_grad_()`",
    "every method that takes gradients refuses it; input times gradient returned zeros",
)
@pytest.mark.parametrize("method", ["deep_lift_shap", "input_x_gradient", "integrated_gradients", "differentiable"])
def test_an_output_that_only_leads_to_a_copy_of_the_input_is_refused(method):
    class Anew(Stem):
        def forward(self, X):
            return super().forward(torch.autograd.Variable(X, requires_grad=True))

    explain = {"differentiable": sl.differentiable_attributions}.get(method) or getattr(sl, method)
    with pytest.raises(sl.UnsupportedOperation, match=r"does not depend on the sequence .* Variable\(X\)"):
        explain(Anew(torch.sigmoid), X)


def test_the_audit_says_that_an_output_only_leads_to_a_copy_of_the_input():
    class Anew(Stem):
        def forward(self, X):
            return super().forward(X.detach().requires_grad_())

    assert "the output: the explained output does not depend on the sequence" in str(sl.audit(Anew(torch.sigmoid), X))
