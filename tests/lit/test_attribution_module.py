from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, ShardedDataModule
from small_memory import RowHog
from small_memory import _small_memory as _small_memory
from user_operations import by_numpy

X = sl.random_one_hot((9, 4, 20), random_state=0)


class Net(nn.Module):
    def __init__(self, dtype=torch.float32, wrap=lambda y: y):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv1d(4, 5, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.MaxPool1d(4), nn.Flatten(), nn.Dropout(0.5)
        )
        self.head, self.wrap = nn.Linear(20, 3), wrap
        self.to(dtype)

    def forward(self, X, shift=None):
        y = self.head(self.layers(X))
        return self.wrap(y if shift is None else y * shift[:, None])


def attributed(trainer, module, data=X, batch_size=4, **settings):
    parts = trainer(**settings).predict(module, datamodule=ShardedDataModule(data, batch_size=batch_size))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("inference_mode", [True, False])
def test_gradients_are_on_whatever_the_trainer_says(trainer, inference_mode):
    found = attributed(trainer, DeepLiftShapModule(Net(), target=1, n_shuffles=4), inference_mode=inference_mode)
    expected = sl.attribute(Net(), X, target=1, n_shuffles=4, random_state=0, device="cpu")
    for name in ("attributions", "outputs", "reference_outputs", "deltas"):
        torch.testing.assert_close(found[name], getattr(expected, name), rtol=1e-5, atol=1e-6)
    assert set(found) == {"attributions", "outputs", "reference_outputs", "deltas"}


@pytest.mark.parametrize(("rows", "pairs"), [(1, 32), (3, 1), (32, 7)])
def test_batches_make_no_difference(trainer, rows, pairs):
    keep = ("references", "standard_error", "multipliers")
    settings = {"target": [0, 2], "n_shuffles": 3, "hypothetical": True, "keep": keep}
    found = attributed(trainer, DeepLiftShapModule(Net(torch.float64), batch_size=pairs, **settings), batch_size=rows)
    expected = sl.attribute(
        Net(torch.float64), X, target=[0, 2], n_shuffles=3, multipliers=True, random_state=0, device="cpu"
    )
    for name in ("attributions", "hypothetical", "outputs", "reference_outputs", "standard_error", "multipliers"):
        torch.testing.assert_close(found[name], getattr(expected, name), rtol=0, atol=1e-12)
    assert torch.equal(found["references"], expected.references)
    assert torch.equal(found["sequences"], X)


@pytest.mark.parametrize("rows", [1, 4, 9])
def test_each_sequence_has_its_own_number_of_references(trainer, rows):
    settings = {"n_shuffles": "auto", "tolerance": 0.3, "max_shuffles": 100}
    module = DeepLiftShapModule(Net(torch.float64), keep=("references",), **settings)
    expected = sl.attribute(Net(torch.float64), X, random_state=0, device="cpu", **settings)
    found = attributed(trainer, module, batch_size=rows)
    assert torch.equal(found["n_references"], expected.n_references)
    assert len(expected.n_references.unique()) > 1
    most = int(expected.n_references.max())
    for name in ("references", "reference_outputs", "deltas"):
        assert found[name].shape[1] == 100
        torch.testing.assert_close(found[name][:, :most], getattr(expected, name), rtol=0, atol=1e-12, equal_nan=True)
    torch.testing.assert_close(found["attributions"], expected.attributions, rtol=0, atol=1e-12)


def test_autocast_is_off_unless_it_is_asked_for(trainer):
    found = attributed(trainer, DeepLiftShapModule(Net(), n_shuffles=3), precision="bf16-mixed")
    expected = attributed(trainer, DeepLiftShapModule(Net(), n_shuffles=3))
    assert torch.equal(found["attributions"], expected["attributions"])
    asked = attributed(trainer, DeepLiftShapModule(Net(), n_shuffles=3, dtype="bfloat16", deltas="ignore"))
    assert not torch.equal(asked["attributions"], expected["attributions"])


def test_a_model_in_half_precision_is_attributed_in_float32(trainer):
    class Fresh(Net):
        def forward(self, X):
            return super().forward(X) + torch.ones(1)  # of the default dtype

    found = attributed(trainer, DeepLiftShapModule(Fresh(), n_shuffles=3), precision="bf16-true")
    assert found["attributions"].dtype == torch.float32
    rounded = Net()
    rounded.load_state_dict({name: one.bfloat16() for name, one in rounded.state_dict().items()})
    torch.testing.assert_close(
        found["attributions"],
        sl.deep_lift_shap(rounded, X, n_shuffles=3, random_state=0, device="cpu"),
        rtol=1e-4,
        atol=1e-5,
    )


def test_compiled_and_averaged_models(trainer):
    expected = attributed(trainer, DeepLiftShapModule(Net(), n_shuffles=3))["attributions"]
    compiled = torch.compile(Net().eval(), backend="eager")
    compiled(X[:4].float()).sum().backward()  # code of these shapes, with gradients, is then there
    with pytest.warns(sl.SeqlightWarning, match="compiled"):
        found = attributed(trainer, DeepLiftShapModule(compiled, n_shuffles=3))["attributions"]
    assert torch.equal(found, expected)
    found = attributed(trainer, DeepLiftShapModule(AveragedModel(Net()), n_shuffles=3))["attributions"]
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("wrap", "target"),
    [
        (lambda y: (y, y.sum(1)), lambda y: y[0][:, 1]),
        (lambda y: {"profile": y}, lambda y: y["profile"][:, 1]),
    ],
)
def test_tuples_and_dicts(trainer, wrap, target):
    found = attributed(trainer, DeepLiftShapModule(Net(wrap=wrap), target=target, n_shuffles=3))
    expected = attributed(trainer, DeepLiftShapModule(Net(), target=1, n_shuffles=3))
    torch.testing.assert_close(found["attributions"], expected["attributions"])


def test_targets_and_references_with_a_row_for_each_row(trainer):
    column = torch.arange(9) % 3
    references = sl.shuffle(X, n=2, random_state=5)
    shift = torch.arange(9.0)
    for target in (column, column.numpy(), sl.Contrast(column, 0), [column, 1]):
        module = DeepLiftShapModule(Net(), target=target, references=references, inputs=2, keep=("references",))
        found = attributed(trainer, module, (X, shift), batch_size=2)
        expected = sl.attribute(Net(), X, (shift,), target=target, references=references, device="cpu")
        torch.testing.assert_close(found["attributions"], expected.attributions)
        assert torch.equal(found["references"], references)


def test_a_tensor_of_targets_needs_numbered_rows():
    with pytest.raises(sl.InputError, match=r"target has a row for each row .* use seqlight\.lit\.ShardedDataModule"):
        DeepLiftShapModule(Net(), target=torch.zeros(9, dtype=torch.int64)).predict_step(X)


@pytest.mark.parametrize("n", [8, 10])
def test_a_target_of_another_length_is_refused(trainer, n):
    module = DeepLiftShapModule(Net(), target=torch.zeros(n, dtype=torch.int64), n_shuffles=1)
    with pytest.raises(sl.InputError, match=f"target has {n} rows and the data set 9"):
        attributed(trainer, module)


def test_the_model_is_given_back(trainer):
    model = Net().train()
    model.head.weight.requires_grad_(False)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    attributed(trainer, DeepLiftShapModule(model, n_shuffles=2))
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert model.training
    assert not model.head.weight.requires_grad
    assert model.layers[0].weight.requires_grad
    assert all(one.grad is None for one in model.parameters())


def test_a_warning_if_references_are_too_few(trainer):
    with pytest.warns(sl.ReferencesWarning, match="9 sequences are not known to a tolerance of 1e-06 after 20"):
        attributed(trainer, DeepLiftShapModule(Net(), n_shuffles="auto", tolerance=1e-6, max_shuffles=20))
    same = torch.zeros(2, 4, 20)
    same[:, 0] = 1
    with pytest.warns(sl.ReferencesWarning, match="2 sequences are equal to all of their references"):
        attributed(trainer, DeepLiftShapModule(Net(), n_shuffles=3), same)


def test_sequences_are_kept_without_hypothetical():
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    X[1, :, 4] = 0
    for dtype in (torch.int8, torch.float32):
        found = DeepLiftShapModule(Net(), n_shuffles=2, keep=("sequences",)).predict_step(X.to(dtype))
        assert found["sequences"].dtype == torch.int8
        assert torch.equal(found["sequences"], X)
        assert "hypothetical" not in found


def test_arguments_that_are_refused():
    for arguments, message in (
        ({"n_shuffles": "many"}, "n_shuffles is 'many'"),
        ({"n_shuffles": 0}, "n_shuffles is 0"),
        ({"random_state": None}, "random_state is None"),
        ({"keep": ("deltas",)}, "keep names 'deltas': expected"),
        ({"keep": ("sequences", "hypothetical")}, "keep names 'hypothetical': give hypothetical=True"),
        ({"deltas": "shout"}, "deltas is 'shout'"),
        ({"dtype": "float31"}, "dtype is"),
        ({"precision": "high"}, "precision is 'high'"),
        ({"batch_size": 0}, "batch_size is 0"),
    ):
        with pytest.raises(sl.InputError, match=message):
            DeepLiftShapModule(Net(), **arguments)


class Hidden(Net):
    """Depends on its input in a way that has no gradient."""

    def forward(self, X):
        return super().forward(X) + by_numpy(X[:, 0, 5:6])


def test_one_warning_about_deltas_for_the_whole_run(tmp_path):
    quiet = {"accelerator": "cpu", "progress": False, "batch_size": 2}
    with pytest.warns(sl.ConvergenceWarning) as expected:
        sl.deep_lift_shap(Hidden(), X, n_shuffles=3, random_state=0, device="cpu")
    for run in ("first", "again"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", sl.ConvergenceWarning)
            sl.run(DeepLiftShapModule(Hidden(), n_shuffles=3), X, tmp_path / "warn", **quiet)
        mine = [str(one.message) for one in caught if issubclass(one.category, sl.ConvergenceWarning)]
        assert [one.split(" in the worst ")[1].split(" on average")[0] for one in mine] == [
            str(expected[0].message).split(" in the worst ")[1].split(" on average")[0]
        ], run
    with pytest.raises(sl.ConvergenceError):
        sl.run(DeepLiftShapModule(Hidden(), n_shuffles=3, deltas="raise"), X, tmp_path / "raise", **quiet)
    sl.run(DeepLiftShapModule(Hidden(), n_shuffles=3, deltas="ignore"), X, tmp_path / "ignore", **quiet)


def test_a_warning_about_deltas_of_auto_runs(tmp_path):
    module = DeepLiftShapModule(Hidden(), n_shuffles="auto", tolerance=0.5, max_shuffles=100)
    with pytest.warns(sl.ConvergenceWarning, match="of 9 sequences"):
        sl.run(module, X, tmp_path, accelerator="cpu", progress=False, batch_size=2)


def test_the_method_identifies_a_run():
    runs = [
        {},
        {"target": 1},
        {"target": lambda y: y[:, 0]},
        {"target": sl.Contrast(0, 1)},
        {"n_shuffles": 3},
        {"n_shuffles": "auto"},
        {"n_shuffles": "auto", "tolerance": 0.2},
        {"random_state": 1},
        {"hypothetical": True},
        {"references": sl.shuffle},
        {"references": torch.zeros(9, 1, 4, 20)},
        {"keep": ("references",)},
        {"additional_nonlinear_ops": {nn.Identity: lambda m, i, o: i}},
        {"dtype": "float64"},
        {"precision": "tf32"},
        {"inputs": 2},
    ]
    assert len({str(DeepLiftShapModule(Net(), **one).method()) for one in runs}) == len(runs)
    assert DeepLiftShapModule(Net(), batch_size=3).method() == DeepLiftShapModule(Net()).method()


@pytest.mark.reliability(
    "accelerators",
    "a run on a GPU that computes convolutions in TF32",
    "attributions in float32; in TF32 with `precision`, which the manifest names",
)
def test_a_run_is_in_float32_on_an_accelerator(pretend):
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 8, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(128, 1))
    expected = DeepLiftShapModule(model).predict_step(X)["attributions"]
    with pretend.switched(tf32=True):
        there = DeepLiftShapModule(model).to("pretend:1").predict_step(X)["attributions"]
        rounded = DeepLiftShapModule(model, precision="tf32").to("pretend:1").predict_step(X)["attributions"]
    assert (there - expected).abs().max() < 1e-6 < 1e-5 < (rounded - expected).abs().max()
    assert DeepLiftShapModule(model, precision="tf32").method()["precision"] == "tf32"
    assert DeepLiftShapModule(model).method()["precision"] is None


@pytest.mark.parametrize("settings", [{"n_shuffles": 5}, {"n_shuffles": "auto", "tolerance": 0.3, "max_shuffles": 100}])
def test_a_run_is_the_same_where_memory_runs_out(settings, small_memory, tmp_path):
    quiet, settings = {"accelerator": "cpu", "progress": False, "batch_size": 3}, {"target": 1, **settings}
    expected = sl.run(DeepLiftShapModule(Net(torch.float64), **settings), X, tmp_path / "whole", **quiet)
    memory = small_memory(4)
    module = DeepLiftShapModule(RowHog(Net(torch.float64), memory, backward=True), batch_size=30, **settings)
    with pytest.warns(sl.MemoryWarning, match="needs more memory than cpu has: [234] at a time") as caught:
        found = sl.run(module, X, tmp_path / "parts", **quiet)
    assert len([one for one in caught if one.category is sl.MemoryWarning]) == 1
    for name in expected:
        torch.testing.assert_close(
            torch.from_numpy(found[name][:]), torch.from_numpy(expected[name][:]), rtol=0, atol=1e-12, equal_nan=True
        )
    # A later step does not try again what did not fit.
    assert [n > 4 for n in memory.asked] == sorted((n > 4 for n in memory.asked), reverse=True)


def test_what_fits_is_learned_once_a_run(trainer, small_memory):
    memory = small_memory(1000)
    attributed(trainer, DeepLiftShapModule(RowHog(Net(), memory), n_shuffles=10), batch_size=4)
    # The references of three sequences at first, of the fourth, and then of all four of a step.
    assert [n for n in memory.asked if n >= 10] == [30, 10, 40, 10]


def test_what_is_no_batch_size():
    with pytest.raises(sl.InputError, match="batch_size is 'many': expected a number or 'auto'"):
        DeepLiftShapModule(Net(), batch_size="many")


@pytest.mark.reliability(
    "accelerators",
    "a run of references and targets that lie on a GPU, and of data there",
    "the results and the manifest of those on the CPU",
)
def test_arguments_of_a_run_may_lie_anywhere(pretend, tmp_path):
    X = sl.random_one_hot((5, 4, 20), random_state=0)
    references, target = sl.dinucleotide_shuffle(X, n=2, random_state=0), torch.tensor([0, 1, 1, 0, 1])

    def attributions(place, name):
        module = DeepLiftShapModule(Net(), target.to(place), references=references.to(place))
        found = sl.run(module, X.to(place), tmp_path / name, accelerator="cpu", devices=1, batch_size=2, progress=False)
        return np.asarray(found["attributions"]), module.method()

    expected = attributions("cpu", "here")
    found = attributions("pretend:1", "there")
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-7)
    assert found[1] == expected[1]


@pytest.mark.parametrize(("rows", "pairs"), [(1, 32), (4, 3)])
def test_contributions_of_layers(trainer, rows, pairs):
    settings = {"target": [0, 2], "n_shuffles": 3, "layers": ["layers.2", "layers"]}
    module = DeepLiftShapModule(Net(torch.float64), batch_size=pairs, **settings)
    found = attributed(trainer, module, batch_size=rows)
    expected = sl.attribute(Net(torch.float64), X, random_state=0, device="cpu", **settings)
    for name in ("layers.2", "layers"):
        torch.testing.assert_close(found[f"layer_{name}"], expected.layers[name], rtol=0, atol=1e-12)
    assert module.method()["layers"] == ["layers.2", "layers"]
    assert "layers" not in DeepLiftShapModule(Net()).method()


def test_layers_that_are_none():
    with pytest.raises(sl.InputError, match="'body', which is no module"):
        DeepLiftShapModule(Net(), layers=["body"])


@pytest.mark.parametrize("n_shuffles", [3, "auto"])
def test_the_ledger_of_each_row(trainer, n_shuffles):
    settings = {"target": [0, 2], "n_shuffles": n_shuffles, "layers": True, "tolerance": 0.8, "max_shuffles": 20}
    module = DeepLiftShapModule(Net(torch.float64), **settings)
    found = attributed(trainer, module)
    expected = sl.attribute(Net(torch.float64), X, random_state=0, device="cpu", **settings)
    names = [name for name in found if name.startswith("total_")]
    assert names == [f"total_{name}" for name in expected.layer_names]
    assert found["total_head"].shape == (len(X), 2)
    for k, name in enumerate(names):
        torch.testing.assert_close(found[name], expected.layer_totals[..., k].nanmean(-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(found["total_layers.2"], expected.differences, rtol=0, atol=1e-12)
    assert found["ledger_moments"].shape == (len(X), 2, len(names), 3)
    assert module.method()["layers"] is True
    assert DeepLiftShapModule(Net(), layers=False).method() == DeepLiftShapModule(Net()).method()
