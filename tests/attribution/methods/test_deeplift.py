"""Tutorial A3, sentence by sentence; the model is only borrowed; arguments and models that are refused."""

import functools
import random
import re
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight import deep_lift_shap, dinucleotide_shuffle, random_one_hot
from seqlight.errors import ConvergenceWarning, InputError
from user_operations import by_numpy

pytestmark = pytest.mark.accelerator

LENGTH = 30


class Net(nn.Module):
    """Convolutions in two layers, with pooling, and three outputs."""

    def __init__(self, extra=0):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv1d(4, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(3, 2), nn.Dropout(0.5),
            nn.Conv1d(8, 8, 3), nn.GELU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(96 + extra, 3)

    def forward(self, x, *args):
        return self.head(torch.cat([self.body(x), *args], dim=1))


@pytest.fixture
def X():
    return random_one_hot((3, 4, LENGTH), random_state=0)


@pytest.fixture
def model():
    return Net().double().eval()


def explain(model, X, **settings):
    return deep_lift_shap(model, X, **{"device": "cpu", "random_state": 0, **settings})


# Results.


def test_the_result_has_the_shape_of_the_input_and_is_zero_where_no_character_is(model, X):
    found = explain(model, X)
    assert found.shape == X.shape
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert not found[X == 0].any()
    assert found[X == 1].any()
    assert explain(model.float(), X).dtype == torch.float32


def test_contributions_sum_to_the_difference_from_the_mean_reference(model, X):
    found, references = explain(model, X, return_references=True, n_shuffles=7)
    assert references.shape == (3, 7, 4, LENGTH)
    with torch.no_grad():
        wanted = model(X.double())[:, 0] - torch.stack([model(r.double())[:, 0].mean() for r in references])
    torch.testing.assert_close(found.sum((1, 2)), wanted, rtol=1e-10, atol=1e-12)


def test_multipliers_give_the_contributions_by_the_difference_from_reference(model, X):
    m, r = explain(model, X, raw_outputs=True, return_references=True)
    assert m.shape == r.shape == (3, 20, 4, LENGTH)
    contributions = explain(model, X, hypothetical=True)
    wanted = torch.zeros(3, 4, LENGTH, dtype=torch.float64)
    for letter in range(4):  # this letter in place of the reference's
        there = torch.zeros(4, LENGTH, dtype=torch.float64)
        there[letter] = 1
        wanted[:, letter] = (m * (there - r)).sum(2).mean(1)
    torch.testing.assert_close(contributions, wanted, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(explain(model, X), wanted * X, rtol=1e-10, atol=1e-14)


def test_hypothetical_contributions_are_there_for_every_character(model, X):
    hypothetical = explain(model, X, hypothetical=True)
    assert hypothetical[X == 0].any()
    torch.testing.assert_close(hypothetical * X, explain(model, X))


# Batches.


@pytest.mark.parametrize("batch_size", [1, 3, 20, 32, 100])
def test_the_batch_size_counts_pairs_and_does_not_change_results(model, X, batch_size):
    rows = []
    model.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    found = explain(model, X, batch_size=batch_size)
    assert max(rows) <= batch_size
    model._forward_pre_hooks.clear()
    torch.testing.assert_close(found, explain(model, X, batch_size=64), rtol=0, atol=1e-12)


def test_results_do_not_depend_on_the_order_or_on_other_rows(model, X):
    references = dinucleotide_shuffle(X, n=6, random_state=0)
    found = explain(model, X, references=references, batch_size=12)
    order = [2, 0, 1]
    torch.testing.assert_close(
        explain(model, X[order], references=references[order], batch_size=12), found[order], rtol=0, atol=1e-12
    )
    alone = [explain(model, X[i : i + 1], references=references[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), found, rtol=0, atol=1e-12)


def test_more_sequences_than_fit_into_a_batch(model):
    X = random_one_hot((9, 4, LENGTH), random_state=0)
    found = explain(model, X, n_shuffles=2, batch_size=7)
    for i in range(9):
        torch.testing.assert_close(found[i : i + 1], explain(model, X[i : i + 1], n_shuffles=2), rtol=0, atol=1e-12)


# Seeds and references.


def test_the_same_seed_gives_the_same_references_for_every_target(model, X):
    runs = [explain(model, X, target=target, return_references=True, n_shuffles=4) for target in (0, 1, 2)]
    assert torch.equal(runs[0].references, runs[1].references)
    assert torch.equal(runs[0].references, runs[2].references)
    assert not torch.equal(runs[0].attributions, runs[1].attributions)
    assert torch.equal(runs[0].attributions, explain(model, X, n_shuffles=4))


def test_without_a_seed_results_differ(model, X):
    assert not torch.equal(explain(model, X, random_state=None), explain(model, X, random_state=None))


def test_reference_k_has_the_seed_random_state_plus_k(model, X):
    references = explain(model, X, n_shuffles=5, random_state=10, return_references=True).references
    for k in range(5):
        for i in range(3):
            one = dinucleotide_shuffle(X[i : i + 1], n=1, random_state=10 + k)[0, 0]
            assert torch.equal(references[i, k], one.to(references.dtype))
    fewer = explain(model, X, n_shuffles=2, random_state=10, return_references=True).references
    assert torch.equal(fewer, references[:, :2])


@pytest.mark.parametrize("value", [0.0, 0.25, 0.5])
def test_constant_references_as_tensor_and_as_functions(model, X, value):
    tensor = torch.full((3, 1, 4, LENGTH), value)
    found = explain(model, X, references=tensor, n_shuffles=1)
    functions = [
        lambda X, n, random_state: torch.full((X.shape[0], n, *X.shape[1:]), value),
        lambda X, n: torch.full((X.shape[0], n, *X.shape[1:]), value),
        lambda X, n, **_: torch.full((X.shape[0], n, *X.shape[1:]), value),
        lambda sequences, shuffles: torch.full((sequences.shape[0], shuffles, *sequences.shape[1:]), value),
    ]
    for function in functions:
        assert torch.equal(explain(model, X, references=function, n_shuffles=1), found)
    torch.testing.assert_close(explain(model, X, references=functions[0], n_shuffles=3), found, rtol=0, atol=1e-12)
    with torch.no_grad():
        wanted = (model(X.double()) - model(tensor[:, 0].double()))[:, 0]
    # If a reference is not one-hot, every multiplier counts, even those of characters that it does not have.
    m = explain(model, X, references=tensor, raw_outputs=True)
    torch.testing.assert_close((m * (X[:, None] - tensor)).sum((1, 2, 3)), wanted, rtol=1e-9, atol=1e-12)


def test_where_nothing_is_shuffled_contributions_are_zero(model, X):
    references = dinucleotide_shuffle(X, n=20, start=10, end=22, random_state=0)
    found = explain(model, X, references=references)
    assert not found[:, :, :10].any()
    assert not found[:, :, 22:].any()
    assert found[:, :, 10:22].any()
    partial = functools.partial(dinucleotide_shuffle, start=10, end=22)
    assert not explain(model, X, references=partial)[:, :, :10].any()


def test_one_reference_gives_zero_where_it_has_the_same_character(model, X):
    found, references = explain(model, X, n_shuffles=1, return_references=True)
    same = (references[:, 0] == X).all(1, keepdim=True).expand_as(X)
    assert same.any()
    assert not found[same].any()


def test_more_shuffles_make_the_mean_steadier(model, X):
    def spread(n):
        return torch.stack([explain(model, X, n_shuffles=n, random_state=100 * s) for s in range(6)]).std(0).mean()

    assert spread(20) < 0.6 * spread(2)


def test_unknown_characters_have_attributions_of_zero(model, X):
    X = X.clone()
    X[0, :, 3:6] = 0
    found, references = explain(model, X, return_references=True)
    assert not found[0, :, 3:6].any()
    assert not references[0, :, :, 3:6].any()
    with torch.no_grad():
        wanted = model(X.double())[:, 0] - torch.stack([model(r.double())[:, 0].mean() for r in references])
    torch.testing.assert_close(found.sum((1, 2)), wanted, rtol=1e-10, atol=1e-12)


# Deltas.


def printed(capsys):
    return [
        [float(value) for value in re.findall(r"[\d.]+(?:e[+-]\d+)?", line.split("dtype")[0])]
        for line in capsys.readouterr().out.replace("\n", " ").split("tensor(")[1:]
    ]


@pytest.mark.parametrize(("batch_size", "sizes"), [(32, [20] * 3), (1, [1] * 60), (8, [8, 8, 4] * 3), (64, [60])])
def test_deltas_are_printed_one_tensor_for_each_batch(model, X, batch_size, sizes, capsys):
    explain(model, X, print_convergence_deltas=True, batch_size=batch_size)
    deltas = printed(capsys)
    assert [len(one) for one in deltas] == sizes
    assert all(0 <= delta < 1e-12 for one in deltas for delta in one)


def do_nothing(module, grad_input, grad_output):
    return grad_input


def test_an_override_that_does_nothing_gives_large_deltas_and_the_warning(model, X, capsys):
    with pytest.warns(RuntimeWarning, match="Convergence deltas too high: tensor") as warned:
        found = explain(
            model, X[:1], additional_nonlinear_ops={nn.ReLU: do_nothing}, print_convergence_deltas=True, batch_size=20
        )
    assert issubclass(warned[0].category, ConvergenceWarning)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    (deltas,) = printed(capsys)
    assert len(deltas) == 20
    assert max(deltas) > 0.01
    assert not torch.allclose(found, explain(model, X[:1]))


def test_the_threshold_of_the_warning(model, X):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(model, X, warning_threshold=1e-9)
    with pytest.warns(ConvergenceWarning):
        explain(model, X, warning_threshold=1e-300)


def test_deltas_that_are_nan_cause_a_warning(X):
    class Broken(nn.Module):
        def forward(self, x):
            return torch.log(-x.sum((1, 2), keepdim=True)).flatten(1)

    with pytest.warns(ConvergenceWarning, match="not finite for 3 of 3 sequences"):
        explain(Broken(), X)


# Inputs.


def test_further_inputs_go_along_with_their_sequences(X):
    torch.manual_seed(1)
    model, args = Net(extra=5).double(), (torch.randn(3, 2), torch.randn(3, 3, requires_grad=True))
    found, references = explain(model, X, args=args, return_references=True, batch_size=50)
    model.eval()
    with torch.no_grad():
        more = [arg.detach().double() for arg in args]
        for i in range(3):
            wanted = model(X[i : i + 1].double(), *(arg[i : i + 1] for arg in more))
            base = model(references[i].double(), *(arg[i : i + 1].expand(20, -1) for arg in more)).mean(0)
            torch.testing.assert_close(found[i].sum(), (wanted - base)[0, 0], rtol=1e-10, atol=1e-12)
    assert args[1].grad is None


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float32, torch.float64, torch.bfloat16, torch.bool])
def test_any_dtype_of_input(model, X, dtype):
    assert torch.equal(explain(model, X.to(dtype)), explain(model, X))


@pytest.mark.parametrize("target", [1, -1])
def test_targets(model, X, target):
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner(x)[:, target]

    torch.testing.assert_close(explain(model, X, target=target), explain(One(), X))


def test_half_precision_models_are_explained_in_float32(X):
    model = Net().to(torch.bfloat16)
    found = explain(model, X)
    assert found.dtype == torch.float32
    assert model.head.weight.dtype == torch.bfloat16
    torch.testing.assert_close(found, explain(Net().to(torch.bfloat16).float(), X))


def test_a_dtype_on_request(X):
    assert explain(Net(), X, dtype="float64").dtype == torch.float64
    torch.testing.assert_close(explain(Net(), X, dtype=torch.float64), explain(Net().double(), X))


def test_progress_is_shown_on_request(model, X, capsys):
    explain(model, X)
    assert capsys.readouterr().err == ""
    explain(model, X, verbose=True)
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": 3}, "target is 3 and the model has 3 outputs"),
        ({"target": True}, "target is True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"n_shuffles": 0}, "n_shuffles is 0"),
        ({"n_shuffles": "auto"}, "seqlight.attribute takes 'auto'"),
        ({"random_state": -1}, "random_state"),
        ({"random_state": 2**32 - 1}, "random_state"),
        ({"args": [torch.zeros(2, 1)]}, r"args\[0\] has shape \(2, 1\) and X 3 rows"),
        ({"args": torch.zeros(3, 1)}, "args is a"),
        ({"references": torch.zeros(3, 4, LENGTH)}, r"references has shape \(3, 4, 30\)"),
        ({"references": torch.zeros(3, 0, 4, LENGTH)}, "references has shape"),
        ({"references": torch.full((3, 1, 4, LENGTH), torch.nan)}, "NaN"),
        ({"references": "shuffle"}, "references is a str"),
        ({"references": lambda X, n: X}, "returned a tensor of shape"),
        ({"references": lambda X, n: X[:, None, :, 1:]}, "the reference function returned shape"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"device": "nowhere"}, "device is 'nowhere'"),
        ({"additional_nonlinear_ops": {nn.ReLU: 1}}, r"expected a function of \(module, grad_input, grad_output\)"),
        ({"additional_nonlinear_ops": {"relu": do_nothing}}, "expected a module class or a function"),
    ],
)
def test_unusable_arguments_raise(model, X, settings, message):
    with pytest.raises(InputError, match=message) as error:
        explain(model, X, **settings)
    assert isinstance(error.value, ValueError)


def test_models_and_sequences_that_cannot_be_used_are_named(model, X):
    with pytest.raises(InputError, match=r"expected a torch\.nn\.Module"):
        explain(lambda x: x, X)
    with pytest.raises(InputError, match="one-hot"):
        explain(model, X * 2)
    with pytest.raises(InputError, match="unsqueeze"):
        explain(model, X[0])
    with pytest.raises(InputError, match="pass as target a tuple of indices"):
        explain(nn.Conv1d(4, 2, 3), X)


# The model is borrowed.


def test_plain_tensors_on_modules_are_given_back(X):
    model = nn.Sequential(nn.Conv1d(4, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(78, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the weight norm of old is deprecated
        torch.nn.utils.weight_norm(model[0])
    before = model[0].weight
    explain(model, X, dtype="float64")
    assert model[0].weight is before
    model[0].weight.sum().backward()


def state(model):
    return {
        "dict": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "pointers": [one.data_ptr() for one in (*model.parameters(), *model.buffers())],
        "dtypes": [one.dtype for one in (*model.parameters(), *model.buffers())],
        "training": [module.training for module in model.modules()],
        "requires_grad": [one.requires_grad for one in model.parameters()],
        "grads": [one.grad if one.grad is None else one.grad.clone() for one in model.parameters()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "forward": [vars(module).get("forward") for module in model.modules()],
        "hooks": [len(h) for m in model.modules() for name, h in sorted(vars(m).items()) if name.endswith("_hooks")],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].copy(),
        "python": random.getstate(),
        "global hooks": len(nn.modules.module._global_forward_hooks),
        "modes": torch.overrides._get_current_function_mode_stack(),
        "grad": torch.is_grad_enabled(),
        "checkpoint": torch.utils.checkpoint.CheckpointFunction,
    }


def assert_same(before, after):
    for key, value in before.items():
        if key == "dict":
            assert value.keys() == after[key].keys()
            assert all(torch.equal(value[name], after[key][name]) for name in value)
        elif key in ("torch", "numpy"):
            assert np.array_equal(np.asarray(value), np.asarray(after[key]))
        elif key == "grads":
            assert all((a is None and b is None) or torch.equal(a, b) for a, b in zip(value, after[key], strict=True))
        else:
            assert value == after[key], key


@pytest.fixture
def lived_in():
    """A model in the middle of its life: mixed modes, frozen parts, gradients, hooks, a forward of its own."""
    model = Net()
    model.train()
    model.body[1].eval()
    model.body[0].weight.requires_grad_(False)
    model(random_one_hot((2, 4, LENGTH)).float()).sum().backward()
    model.body[2].register_forward_hook(lambda *_: None)
    relu = model.body[2].forward
    model.body[2].forward = lambda x: relu(x)
    return model


@pytest.mark.parametrize("settings", [{}, {"dtype": "float64"}, {"additional_nonlinear_ops": {nn.GELU: do_nothing}}])
@pytest.mark.filterwarnings("ignore::seqlight.errors.ConvergenceWarning")
def test_the_model_is_restored(lived_in, X, settings):
    before = state(lived_in)
    explain(lived_in, X, n_shuffles=2, **settings)
    assert_same(before, state(lived_in))


class Trouble(Exception):
    pass


def raising(*_):
    raise Trouble


@pytest.mark.parametrize("where", ["forward", "rule", "backward", "references"])
def test_the_model_is_restored_after_an_error(lived_in, X, where):
    settings = {}
    if where == "forward":
        lived_in.body[5].register_forward_hook(raising)
    elif where == "rule":
        settings["additional_nonlinear_ops"] = {nn.GELU: raising}
    elif where == "references":
        settings["references"] = raising
    else:

        def hang_on(module, inputs, output):
            output.register_hook(raising)

        lived_in.body[0].register_forward_hook(hang_on)
    before = state(lived_in)
    with pytest.raises((Trouble, TypeError) if where == "references" else Trouble):
        explain(lived_in, X, n_shuffles=2, **settings)
    assert_same(before, state(lived_in))


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_works_in_any_mode_of_the_caller(model, X, around):
    expected = explain(model, X, args=(), n_shuffles=3)
    model.train()
    with around():
        again = X.clone()
        assert torch.equal(explain(model, again, n_shuffles=3), expected)
        references = dinucleotide_shuffle(again, n=2, random_state=0)
        explain(model, again, references=references, return_references=True)
    assert model.training


def test_inputs_made_in_inference_mode(X):
    model = Net(extra=2).double()
    with torch.inference_mode():
        args = (torch.ones(3, 2, dtype=torch.float64),)
        found = explain(model, X.clone(), args=args, n_shuffles=2)
    assert torch.equal(found, explain(model, X, args=(torch.ones(3, 2),), n_shuffles=2))


def test_autocast_of_the_caller_does_not_reach_in(X):
    model = Net()
    expected = explain(model, X, n_shuffles=3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(explain(model, X, n_shuffles=3), expected)


def test_tied_weights_and_parametrisations(X, incompleteness):
    model = Net().double()
    nn.utils.parametrizations.weight_norm(model.body[5])
    nn.utils.parametrizations.spectral_norm(model.body[0])
    model.eval()
    assert incompleteness(model, X) < 1e-9


def test_both_strands(X, incompleteness):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Net()

        def forward(self, x):
            return (self.inner(x) + self.inner(x.flip(1, 2))) / 2

    assert incompleteness(Both().double(), X) < 1e-9


def test_the_public_name_is_the_function():
    assert sl.deep_lift_shap is deep_lift_shap


class Gate(nn.Module):
    """Depends on its input through numbers that no gradient sees."""

    def forward(self, x):
        h = x[:, 0] - x[:, 1] + 0.5 * x[:, 2]
        return (h * by_numpy(h.roll(1, 1))).sum(dim=1, keepdim=True)


def test_one_warning_says_how_many_sequences_miss_and_what_to_do():
    X = random_one_hot((7, 4, LENGTH), random_state=0)
    with pytest.warns(ConvergenceWarning) as warned:
        explain(Gate(), X, batch_size=20)
    (message,) = (str(one.message) for one in warned)
    assert re.search(r"too high: tensor\(.*\) in the worst of 7 of 7", message, flags=re.DOTALL)
    assert "seqlight.audit(model, X)" in message


MEMORY = """
import resource, torch, seqlight as sl

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

model = torch.nn.Sequential(torch.nn.Conv1d(4, 16, 9), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(672, 1))
X = sl.random_one_hot((20_000, 4, 50), random_state=0)
sl.deep_lift_shap(model, X[:200], n_shuffles=5, batch_size=100, random_state=0, device="cpu")
before = peak()
found = sl.deep_lift_shap(model, X, n_shuffles=5, batch_size=100, random_state=0, device="cpu")
print(peak() - before - found.numel() * found.element_size() / 2**20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts memory as Linux does")
def test_memory_beyond_the_result_does_not_grow_with_the_sequences(python):
    done = python("-c", MEMORY)
    # 1,000 blocks; what stays of each, 24 bytes a sequence, is half a megabyte.
    assert float(done.stdout) < 8
