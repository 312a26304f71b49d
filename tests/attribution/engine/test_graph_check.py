"""Linear nodes of autograd's graph, and the search for nodes that nothing explains."""

import pytest
import torch
from torch.nn import functional as F
from torch.nn.parallel import _functions

import seqlight as sl
from seqlight.attribution.engine import graph_check


@pytest.mark.parametrize(
    ("function", "linear"),
    [
        (lambda x: x.sum(1) + x.mean(1) - x[:, 0], True),
        (lambda x: x / 3 + x / torch.tensor([2.0]), True),
        (lambda x: torch.addcdiv(x, x, torch.tensor([2.0])), True),
        (lambda x: torch.lerp(x, 2 * x, 0.3), True),
        (lambda x: torch.lerp(x, 2 * x, torch.tensor([0.3])), True),
        (lambda x: torch.lerp(torch.ones(1), torch.zeros(1), x), True),
        (lambda x: torch.addmm(x, x, torch.ones(3, 3)), True),
        (lambda x: x * 2 @ torch.ones(3, 1), True),
        (lambda x: torch.linalg.cross(x, torch.ones(3, 3)), True),
        (lambda x: torch.cross(x, x.flip(0), dim=1), False),
        (lambda x: torch.fft.rfft(x).real, True),
        (lambda x: 2 / x, False),
        (lambda x: x / x, False),
        (lambda x: torch.addcdiv(torch.ones(3), torch.ones(3), x), False),
        (lambda x: torch.lerp(torch.ones(1), x, x), False),
        (lambda x: torch.addmm(torch.ones(3, 3), x, x), False),
        (lambda x: x * x, False),
        (lambda x: F.batch_norm(x, None, None, training=True), False),
        (lambda x: F.batch_norm(x, torch.zeros(3), torch.ones(3), weight=x[0]), False),
        (lambda x: x.sort().values, False),
        (lambda x: x.relu(), False),
    ],
)
def test_linear_nodes(function, linear):
    x = torch.rand(3, 3, requires_grad=True) + 1
    assert (graph_check.find_unexplained([function(x)], set(), [x]) is None) is linear


def test_the_graph_is_searched_between_outputs_and_inputs():
    x = torch.rand(3, requires_grad=True).relu()
    assert graph_check.find_unexplained([2 * x], set(), [x]) is None
    assert graph_check.operation_name(graph_check.find_unexplained([2 * x], set())) == "Relu"


def test_names_of_nodes():
    x = torch.rand(2, 3, 4, requires_grad=True)
    assert graph_check.operation_name((x * 2).grad_fn) == "Mul"
    assert graph_check.operation_name(F.pad(x, (1, 1), mode="reflect").grad_fn) == "ReflectionPad1D"
    assert graph_check.operation_name(torch.zeros(2, 3, 4).copy_(x).grad_fn) == "Copy"
    view = (x * 1)[0]
    view += 1
    assert graph_check.operation_name(view._base.grad_fn) == "CopySlices"


@pytest.mark.parametrize("name", ["Clone", "Mul", "Div"])
def test_a_users_function_named_like_an_operation_is_not_linear(name):
    def forward(ctx, x):
        return x.exp()

    def backward(ctx, grad):
        return grad

    cls = type(name, (torch.autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)})
    x = torch.rand(3, requires_grad=True)
    y = cls.apply(x)  # which keeps its node alive: in older PyTorch a node in Python loses its name with its output
    found = graph_check.find_unexplained([y], set())
    assert found is not None
    assert graph_check.operation_name(found) == name
    assert graph_check.find_unexplained([y], {cls}) is None


@pytest.mark.cpu
def test_scatter_of_data_parallel_is_linear(monkeypatch):
    monkeypatch.setattr(_functions.comm, "scatter", lambda x, devices, *_: x.chunk(len(devices)))
    found = _functions.Scatter.apply([0], None, 0, torch.rand(3, requires_grad=True))
    assert graph_check.find_unexplained(found, set()) is None


class Own(torch.Tensor):
    """A tensor of a class of its own, such as that of a library."""


def test_an_output_without_a_gradient_is_refused():
    x, other = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    graph_check.require_path(x * 2 + other, [x])
    with pytest.raises(sl.UnsupportedOperation, match=r"look for torch\.no_grad"):
        graph_check.require_path(x * 2, [other])
    with pytest.raises(sl.UnsupportedOperation, match=r"look for torch\.no_grad"):
        graph_check.require_path(torch.ones(1), [x])
    own = x.detach().as_subclass(Own).requires_grad_()
    graph_check.require_path(own * 2, [own])
    graph_check.require_path(own, [own])


@pytest.mark.parametrize(("loss", "name"), [(lambda h: h * 2, None), (lambda h: h * h, "Mul"), (torch.exp, "Exp")])
def test_operations_that_are_not_linear_in_what_depends_on_the_input(loss, name):
    x, weight = torch.rand(3, requires_grad=True), torch.rand(3, requires_grad=True)
    found = graph_check.find_nonlinear([loss(x) * weight.exp()], [x])
    assert (None if found is None else graph_check.operation_name(found)) == name
    h = x.exp()
    assert graph_check.find_nonlinear([h * weight], [h]) is None
