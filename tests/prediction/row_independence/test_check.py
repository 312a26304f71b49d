"""Rows that depend on each other, or on chance: predict warns, and methods that explain refuse."""

import dataclasses
import itertools
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import seqlight as sl
from attribution_methods import METHODS
from seqlight.prediction.row_independence.float64 import is_rounding

X = sl.random_one_hot((7, 4, 12), random_state=0)


class Net(nn.Module):
    """A small network with a module between its layers."""

    def __init__(self, between=None, scale=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.between, self.head = nn.Conv1d(4, 6, 3), between, nn.Linear(6, 2)
        self.scale = scale

    def forward(self, X):
        h = self.conv(X).relu()
        h = h if self.between is None else self.between(h)
        return self.scale * self.head(h.mean(-1))


class Between(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, h):
        return self.function(h)


class Rows(nn.LSTM):
    """A common mistake: without batch_first, the rows are time steps."""

    def forward(self, h):
        return super().forward(h.mT)[0].mT


class Always(nn.Dropout):
    def forward(self, h):
        return F.dropout(h, self.p, training=True)


# By kind: the module between the layers, the operation that is found, and the name of its module.
DEPEND = {
    "statistics of the batch": (lambda: nn.BatchNorm1d(6, track_running_stats=False), "batch_norm", "between"),
    "softmax over rows": (lambda: nn.Softmax(dim=0), "softmax", "between"),
    "mean over rows": (lambda: Between(lambda h: h - h.mean(0)), "mean", "between"),
    "dropout that stays on": (lambda: Always(0.3), "dropout", "between"),
    "noise": (lambda: Between(lambda h: h + torch.randn_like(h)), "randn_like", "between"),
    "the row before": (lambda: Between(lambda h: h + h.roll(1, 0)), "roll", "between"),
    "sums of the rows so far": (lambda: Between(lambda h: h.cumsum(0)), "cumsum", "between"),
    "a recurrence over rows": (lambda: Rows(6, 6), "lstm", "between"),
    "the largest row": (lambda: Between(lambda h: h / (h.mean(-1, True).amax(0) + 0.01)), "amax", "between"),
    "the least of all rows": (lambda: Between(lambda h: h - h.amin(0)), "amin", "between"),
    "the last row": (lambda: Between(lambda h: h + h[-1:]), "getitem", "between"),
    "how many rows": (lambda: Between(lambda h: h / (1 + len(h))), "div", "between"),
}
CHANCE = ("dropout that stays on", "noise")
REASON = r"it mixes the rows of a batch or draws random numbers, first at `{}` in module '{}' \(\w+\)"


@pytest.mark.reliability(
    "rows of a batch",
    "predict of a model whose rows depend on each other, or on chance",
    "a warning that names the operation",
)
@pytest.mark.parametrize("rows", [2, 3, 7])
@pytest.mark.parametrize("kind", list(DEPEND))
def test_predict_warns_and_names_the_operation(kind, rows):
    make, operation, module = DEPEND[kind]
    message = r"changes with the other rows of its batch: " + REASON.format(operation, module)
    with pytest.warns(sl.BatchWarning, match=message) as caught:
        sl.predict(Net(make()), X[:rows], device="cpu")
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.reliability(
    "rows of a batch",
    "every attribution method on such a model",
    "an error that names the operation, whatever the batch_size",
)
@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
@pytest.mark.parametrize(
    ("kind", "method", "rows"),
    [
        case
        for case in itertools.product(DEPEND, METHODS, [1, 3])
        # With one sequence and two references, all batches have two rows, as in the check.
        if case not in {("how many rows", "deep_lift_shap", 1), ("how many rows", "attribute", 1)}
    ],
)
def test_methods_refuse_and_name_the_operation(kind, method, rows):
    make, operation, module = DEPEND[kind]
    # deep_lift_shap refuses these by rules of its own, too.
    others = "takes its statistics from the batch|on even in evaluation mode"
    message = rf"{REASON.format(operation, module)}; explain a model that does not|{others}"
    with pytest.raises(sl.UnsupportedOperation, match=message):
        getattr(sl, method)(Net(make()), X[:rows], device="cpu", **METHODS[method])


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("kind", CHANCE)
def test_chance_is_refused_in_batches_of_one_row_too(kind, method):
    with pytest.raises(sl.UnsupportedOperation, match=r"draws random numbers|on even in evaluation mode"):
        getattr(sl, method)(Net(DEPEND[kind][0]()), X[:2], device="cpu", batch_size=1, **METHODS[method])


def rare(h):
    return h * (torch.rand(h.shape) > 0.02)


@pytest.mark.reliability(
    "rows of a batch",
    "noise of a thousandth of what a layer gives, and dropout of 2 %",
    "a warning of predict, and an error of each method, that name the operation",
)
@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("little", [lambda h: h + 1e-4 * torch.randn_like(h), rare])
def test_a_little_chance_is_detected_too(little, method):
    torch.manual_seed(0)
    model = Net(Between(little))
    with pytest.warns(
        sl.BatchWarning, match=r"(other rows of its batch|from call to call): .* first at `rand\w*` in module 'between'"
    ):
        sl.predict(model, X, device="cpu")
    with pytest.raises(sl.UnsupportedOperation, match=r"first at `rand\w*` in module 'between'"):
        getattr(sl, method)(model, X[:3], device="cpu", **METHODS[method])


class Scaled(Net):
    """Divides its outputs by the largest one."""

    def forward(self, X):
        y = super().forward(X)
        return y / y.abs().max()


@pytest.mark.reliability(
    "rows of a batch",
    "outputs divided by the largest, where the row that is asked for may be that one",
    "a warning of predict, and an error of each method",
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_dependence_is_found_whichever_row_is_the_largest(place):
    order = sl.predict(Net(), X, device="cpu")[:, 0].abs().argsort(descending=True)
    for rows in ([0, 3], [0, 3, 6]):
        batch = X[order[rows].roll(place)]
        with pytest.warns(sl.BatchWarning, match="other rows of its batch: .* first at `max`"):
            sl.predict(Scaled(), batch, device="cpu")
        for method, arguments in METHODS.items():
            # If a shuffle has the same output as its sequence, these two do not show which operation it is.
            alike = "|, as softmax" if "n_steps" not in arguments and arguments else ""
            with pytest.raises(sl.UnsupportedOperation, match=rf"first at `max`{alike}"):
                getattr(sl, method)(Scaled(), batch, device="cpu", **arguments)


def test_a_row_with_the_largest_number_is_not_chosen():
    numbers = torch.tensor([[-0.7, -1.0], [-0.8, -0.85], [-0.6, -0.9]])
    with pytest.warns(sl.BatchWarning, match="other rows of its batch: .* first at `max`"):
        sl.predict(Between(lambda y: y / y.abs().max()), numbers, device="cpu")


@pytest.mark.reliability("rows of a batch", "a model that draws numbers and uses none of them", "no warning, no error")
@pytest.mark.parametrize("method", list(METHODS))
def test_random_numbers_that_are_not_used_are_accepted(method):
    model = Net(Between(lambda h: h + 0 * torch.rand(1)))
    sl.predict(model, X, device="cpu")
    getattr(sl, method)(model, X[:3], device="cpu", **METHODS[method])


@pytest.mark.parametrize("source", [lambda X: X, TensorDataset, lambda X: DataLoader(X, batch_size=1)])
def test_only_chance_is_checked_in_batches_of_one_row(source):
    with pytest.warns(sl.BatchWarning, match=r"changes from call to call: .* first at `randn_like`"):
        sl.predict(Net(DEPEND["noise"][0]()), source(X[:3]), device="cpu", batch_size=1)
    model = Net(DEPEND["statistics of the batch"][0]())
    sl.predict(model, source(X[:3]), device="cpu", batch_size=1)
    sl.saturation_mutagenesis(model, X[:1], device="cpu", batch_size=1)


def test_the_first_batch_with_several_rows_is_checked():
    loader = DataLoader(X, batch_sampler=[[0], [1], [2, 3, 4], [5]])
    with pytest.warns(sl.BatchWarning, match="other rows of its batch"):
        sl.predict(Net(nn.Softmax(dim=0)), loader, device="cpu")


HEALTHY = {
    "plain": lambda: Net(),
    "float64": lambda: Net().double(),
    "bfloat16": lambda: Net().bfloat16(),
    "a small output beside a large one": lambda: Net(scale=torch.tensor([1e4, 1e-4])),
    "running statistics": lambda: Net(nn.BatchNorm1d(6)),
    "dropout": lambda: Net(nn.Dropout(0.5)),
    "a layer norm": lambda: Net(nn.LayerNorm(10)),
    "no number": lambda: Net(scale=torch.tensor([float("nan"), float("inf")])),
}


@pytest.mark.reliability("rows of a batch", "models whose rows are their own, in any precision", "no warning")
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("name", list(HEALTHY))
def test_no_warning_for_models_with_independent_rows(name, rows, dtype):
    sl.predict(HEALTHY[name](), X[:rows], device="cpu", dtype=dtype)  # a warning is an error here


# These change an output by less than 1 % of the difference between two rows, which might be rounding.
SLIGHT = {
    "the largest number": lambda h: h / (1 + h.amax()),
    "a hundredth of the mean": lambda h: h - 0.01 * h.mean(0),
}


@pytest.mark.reliability(
    "rows of a batch",
    "rows that change each other by less than a hundredth of what lies between them",
    "float64 tells it from rounding: a warning of predict, and an error of each method",
)
@pytest.mark.parametrize("kind", list(SLIGHT))
def test_rows_that_change_each_other_slightly(kind):
    model = Net(Between(SLIGHT[kind]))
    before = {name: one.clone() for name, one in model.state_dict().items()}
    with pytest.warns(sl.BatchWarning, match="changes with the other rows of its batch"):
        sl.predict(model, X, device="cpu")
    with pytest.warns(sl.BatchWarning, match="changes with the other rows of its batch"):
        sl.predict(model, X, func=lambda y: y[:, :1], device="cpu")
    for method, settings in METHODS.items():
        with pytest.raises(sl.UnsupportedOperation, match="changes with the other rows of its batch"):
            getattr(sl, method)(model, X[:3], device="cpu", **settings)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.reliability(
    "rows of a batch",
    "outputs that nearly cancel, of which float32 leaves two or three digits",
    "no warning: in float64 the rows are their own",
)
@pytest.mark.filterwarnings("ignore::seqlight.errors.ConvergenceWarning")
def test_no_warning_for_rounding_in_float32():
    class Rounded(Net):
        def forward(self, X):
            y = super().forward(X)
            # As rounding of sums in another order, and more of it in larger batches.
            return y * (1 + 3e-4 * len(X)) if y.dtype == torch.float32 else y

    sl.predict(Rounded(), X, device="cpu", batch_size=3)
    for method, settings in METHODS.items():
        getattr(sl, method)(Rounded(), X[:1], device="cpu", batch_size=3, **settings)


class Similarities(Net):
    """Returns the similarity of each row to each other, as contrastive models do."""

    def forward(self, X):
        y = super().forward(X)
        return y @ y.T


@pytest.mark.reliability(
    "rows of a batch",
    "a matrix of the similarities of rows, whose width is that of the batch",
    "a warning of predict, and an error of each method",
)
def test_outputs_as_wide_as_the_batch():
    with pytest.warns(sl.BatchWarning, match="changes with the other rows of its batch"):
        assert sl.predict(Similarities(), X[:6], device="cpu", batch_size=3).shape == (6, 3)
    for method, settings in METHODS.items():
        with pytest.raises(sl.UnsupportedOperation, match="changes with the other rows of its batch"):
            getattr(sl, method)(Similarities(), X[:3], device="cpu", **settings)


@pytest.mark.reliability(
    "rows of a batch", "the rows of a batch in reverse order", "an error also where each sequence is alone in its batch"
)
@pytest.mark.parametrize("method", ["integrated_gradients", "input_x_gradient", "saturation_mutagenesis"])
def test_rows_in_reverse_order(method):
    with pytest.raises(sl.UnsupportedOperation, match="first at `flip` in module 'between'"):
        getattr(sl, method)(Net(Between(lambda h: h.flip(0))), X[:1], device="cpu", **METHODS[method])


@pytest.mark.reliability(
    "rows of a batch",
    "whole rows that are dropped, one in twenty (stochastic depth)",
    "a warning of predict, and an error of each method: as many rows are drawn for as a batch has",
)
def test_rows_that_are_rarely_dropped():
    def dropped(h):
        return h * (torch.rand(len(h), 1, 1) > 0.05)

    torch.manual_seed(0)
    for _ in range(3):
        with pytest.warns(sl.BatchWarning, match=r"first at `(rand|mul)` in module 'between'"):
            sl.predict(Net(Between(dropped)), X, device="cpu")
    for method, settings in METHODS.items():
        with pytest.raises(sl.UnsupportedOperation, match="draws random numbers"):
            getattr(sl, method)(Net(Between(dropped)), X[:2], device="cpu", **settings)


@dataclasses.dataclass
class Out:
    mean: torch.Tensor
    drawn: torch.Tensor


class Drawing(Net):
    def forward(self, X):
        y = super().forward(X)
        return Out(y, y + torch.randn_like(y))


def test_only_the_result_of_func_is_compared_and_func_is_called_only_if_needed():
    calls = []

    def mean(out):
        calls.append(len(out.mean))
        return out.mean

    sl.predict(Drawing(), X, func=mean, device="cpu", batch_size=4)
    assert calls == [4, 3, 2]
    with pytest.warns(sl.BatchWarning, match=r"first at `randn_like` in the model itself \(Drawing\)"):
        sl.predict(Drawing(), X, func=lambda out: out.drawn, device="cpu", batch_size=4)


class Everywhere(nn.Module):
    """Draws numbers in three ways, counts in a buffer, and writes to its input."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, X):
        self.calls += 1
        y = X.flatten(1).sum(1) + torch.rand(len(X)) + np.random.rand() + random.random() + self.calls
        X.zero_()
        return y


@pytest.mark.reliability(
    "rows of a batch", "numbers that a model draws in predict", "they are the same with and without the check"
)
def test_predictions_are_the_same_with_and_without_the_check(monkeypatch):
    from seqlight.prediction.row_independence.probe import RowProbe

    def predicted():
        torch.manual_seed(1), random.seed(1), np.random.seed(1)
        found = sl.predict(Everywhere(), X, device="cpu", batch_size=3)
        return found, torch.rand(1), random.random(), np.random.rand()

    with pytest.warns(sl.BatchWarning):
        asked = predicted()
    monkeypatch.setattr(RowProbe, "warn_if_dependent", lambda *_, **__: None)
    unasked = predicted()
    assert torch.equal(asked[0], unasked[0])
    assert asked[1:] == unasked[1:]


def test_the_check_is_one_more_forward_of_two_rows():
    model, sizes = Net(), []
    model.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    sl.predict(model, X, device="cpu", batch_size=3)
    assert sizes == [3, 3, 1, 2]


class OfSeven(Net):
    def forward(self, X):
        assert len(X) == 7
        return super().forward(X)


def test_no_warning_for_a_model_that_does_not_accept_two_rows():
    assert sl.predict(OfSeven(), X, device="cpu").shape == (7, 2)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_operations_that_cannot_be_traced_are_not_named():
    script = torch.jit.script(nn.Softmax(dim=0))
    with pytest.warns(sl.BatchWarning, match=r"first somewhere before `mean` in the model itself"):
        sl.predict(Net(script), X, device="cpu")


@pytest.mark.reliability(
    "rows of a batch", "outputs that are sparse, nested or on the meta device", "one sentence that says what to use"
)
@pytest.mark.filterwarnings("ignore:.*nested tensors:UserWarning")
@pytest.mark.parametrize("kind", ["to_sparse", "nested", "meta"])
def test_outputs_without_arithmetic_are_refused(kind):
    def odd(y):
        if kind == "nested":
            return torch.nested.nested_tensor(list(y))
        return y.to("meta") if kind == "meta" else y.to_sparse()

    with pytest.raises(sl.InputError, match="the model's output is"):
        sl.predict(nn.Sequential(Net(), Between(odd)), X, device="cpu")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("width", [17, 600])
def test_a_row_of_many_numbers_with_the_largest_is_not_chosen(width, place):
    rows = torch.rand(3, width, generator=torch.Generator().manual_seed(place)) - 0.5
    rows[place, width // 2] = 2.0
    with pytest.warns(sl.BatchWarning, match="other rows of its batch: .* first at `max`"):
        sl.predict(Between(lambda y: y / y.abs().max()), rows, device="cpu")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("width", [2, 40])
def test_infinities_and_nans_raise_no_warning(width):
    rows = torch.zeros(7, width)
    rows[1, 0], rows[2, 1], rows[3, 0] = torch.inf, -torch.inf, torch.nan
    assert torch.equal(sl.predict(nn.Identity(), rows, device="cpu").isnan(), rows.isnan())


@pytest.mark.reliability(
    "accelerators",
    "rows that change each other by less than TF32 rounds, on a GPU that has it",
    "a warning of predict and an error of each method, as on the CPU; none for rows that are their own",
)
@pytest.mark.parametrize("tf32", [True, False])
def test_rows_on_an_accelerator(pretend, tf32):
    with pretend.switched(tf32=tf32, small_batch=3):
        for kind, change in SLIGHT.items():
            with pytest.warns(sl.BatchWarning, match="changes with the other rows of its batch"):
                sl.predict(Net(Between(change)), X, device="pretend")
            for method, settings in METHODS.items():
                with pytest.raises(sl.UnsupportedOperation, match="changes with the other rows of its batch"):
                    getattr(sl, method)(Net(Between(SLIGHT[kind])), X[:3], device="pretend", **settings)
        sl.predict(Net(nn.BatchNorm1d(6)), X, device="pretend")  # a warning is an error here
        for method, settings in METHODS.items():
            getattr(sl, method)(Net(nn.GELU()), X[:3], device="pretend", **settings)


@pytest.mark.reliability(
    "accelerators",
    "outputs of a GPU that nearly cancel, some of which were fetched",
    "known as rounding, as on the CPU",
)
def test_outputs_that_were_fetched_are_compared(pretend):
    model, x = nn.Linear(3, 1), torch.ones(2, 3, device="pretend")
    model.to("pretend")

    def run(rows):
        with torch.no_grad():
            return model(x[list(rows)].to(model.weight.dtype))

    found = run([0, 1])
    assert is_rounding(model, run, [0, 1], [found], [found.cpu()])
    assert not is_rounding(model, run, [0, 1], [found], [found.cpu() + 1])
