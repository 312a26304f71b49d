from __future__ import annotations

import sys
from functools import partial

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, PredictModule, SequenceDataModule, TrainModule
from seqlight.lit.model_factory import as_model

LINEAR = partial(as_model, "torch.nn.Linear", arguments={"in_features": 3, "out_features": 2})


def linear(seed=1):
    torch.manual_seed(seed)
    return nn.Linear(3, 2)


def around(model, prefix):
    return {f"{prefix}{name}": one for name, one in model.state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "model.", "_orig_mod.", "net.inner.", "model._orig_mod."])
@pytest.mark.parametrize("lightning", [False, True])
def test_weights_are_found_under_the_prefix_of_a_wrapper(tmp_path, prefix, lightning):
    stored = around(linear(), prefix) | ({"metric.total": torch.zeros(1)} if prefix == "model." else {})
    torch.save({"state_dict": stored, "epoch": 3} if lightning else stored, tmp_path / "a.ckpt")
    found = LINEAR(checkpoint=tmp_path / "a.ckpt")
    assert torch.equal(found.weight, linear().weight)
    assert torch.equal(found.bias, linear().bias)


def test_a_model_is_returned_as_it_is():
    model = linear()
    assert as_model(model) is model
    assert as_model("torch.nn.ReLU").__class__ is nn.ReLU


def test_models_that_are_refused(tmp_path):
    for name in ("torch.nn.Nothing", "nowhere.Net", "Net"):
        with pytest.raises(sl.InputError, match=f"model is '{name}', which is not found .*'package.module.Class'"):
            as_model(name)
    with pytest.raises(sl.InputError, match="model is a function: expected a"):
        as_model(lambda x: x)
    with pytest.raises(sl.InputError, match="the model is already made"):
        as_model(linear(), arguments={"in_features": 3})


def factory(width=2):
    """Make a model, which must not happen: functions are not called."""
    CALLED.append(width)
    return nn.Linear(width, width)


CALLED: list[int] = []


@pytest.mark.reliability(
    "models by name",
    "a name that is no class of torch.nn.Module: os.system, eval, a function",
    "an error, and nothing is called",
)
@pytest.mark.parametrize("kind", [PredictModule, DeepLiftShapModule])
def test_only_classes_of_models_are_called(tmp_path, kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "factories", sys.modules[__name__])
    for name, arguments, message in (
        ("os.system", {"command": f"touch {tmp_path}/marker"}, "which is a builtin_function_or_method"),
        ("builtins.eval", {"source": "1"}, "which is a builtin_function_or_method"),
        ("subprocess.Popen", {"args": ["touch", f"{tmp_path}/marker"]}, "which is the class Popen"),
        ("pathlib.Path", {}, "which is the class Path"),
        ("torch.nn.functional.relu", {"input": 1}, "which is a function"),
        ("torch.nn.Module.eval", {}, "which is not found"),
        ("factories.factory", {"width": 3}, "which is a function: expected the name of a class"),
        ("torch.nn", {}, "which is a module"),
        ("", {}, "which is not found"),
        (".Linear", {}, "which is not found"),
        ("..Linear", {}, "which is not found"),
    ):
        with pytest.raises(sl.InputError, match=f"model is '{name}', {message}"):
            kind(name, arguments=arguments)
    assert CALLED == []
    assert not (tmp_path / "marker").exists()


@pytest.mark.reliability("models by name", "arguments that the class does not take", "an error that names them")
def test_arguments_that_do_not_fit(tmp_path, monkeypatch):
    for arguments, message in (
        ({}, "arguments do not fit torch.nn.Linear: missing a required argument: 'in_features'"),
        ({"in_features": 1, "out_features": 2, "out": 3}, "argument 'out'; it takes in_features, out_features, bias"),
        ({"in_features": 1, "out_features": 2, "width": 3}, "got an unexpected keyword argument 'width'"),
        ([1, 2], "arguments is a list: expected a mapping"),
        ({1: 2}, "arguments is a dict: expected a mapping of names"),
    ):
        with pytest.raises(sl.InputError, match=message):
            as_model("torch.nn.Linear", arguments=arguments)
    (tmp_path / "unfinished_model.py").write_text("class Net(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(sl.InputError, match=r"importing unfinished_model fails .SyntaxError"):
        as_model("unfinished_model.Net")


def test_a_checkpoint_of_another_model(tmp_path):
    for stored, message in (
        (nn.Linear(3, 4).state_dict(), "size mismatch for bias"),
        (nn.Linear(3, 2, bias=False).state_dict(), "it lacks 'bias'"),
        ({**linear().state_dict(), "scale": torch.ones(1)}, "it has 'scale', which the model does not have"),
        ([1, 2], "holds a list"),
        (
            {"a": torch.ones(1), "c": torch.ones(1)},
            "it lacks 'bias' and 1 more, and has 'a' and 1 more, which the model",
        ),
        ({**linear().state_dict(), "weight": torch.ones(3)}, "size mismatch for weight"),
    ):
        torch.save(stored, tmp_path / "a.pt")
        with pytest.raises(sl.InputError, match=message):
            LINEAR(checkpoint=tmp_path / "a.pt")


def test_averaged_weights_are_loaded_from_a_checkpoint_that_has_them(tmp_path):
    X = torch.rand(8, 4, 3)
    data = SequenceDataModule((X, torch.rand(8, 1)), batch_size=2)
    module = TrainModule(
        nn.Sequential(nn.Flatten(), nn.Linear(12, 1)), nn.MSELoss(), optimizer=partial(torch.optim.SGD, lr=0.1)
    )
    average = EMAWeightAveraging(decay=0.5, update_starting_at_step=0)
    trainer = L.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, callbacks=[average], enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0, default_root_dir=tmp_path, enable_checkpointing=True,
    )  # fmt: skip
    seen = []

    class Averaged(L.Callback):
        def on_train_batch_end(self, *args):
            seen.append([one.detach().clone() for one in module.model.parameters()])

    trainer.callbacks.insert(0, Averaged())
    start = [one.detach().clone() for one in module.model.parameters()]
    trainer.fit(module, data)
    (path,) = tmp_path.rglob("*.ckpt")
    expected = start
    for step, weights in enumerate(seen):
        expected = [b.clone() if not step else 0.5 * a + 0.5 * b for a, b in zip(expected, weights, strict=True)]
    found = as_model(nn.Sequential(nn.Flatten(), nn.Linear(12, 1)), path)
    for one, other in zip(found.parameters(), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.allclose(found[1].weight, seen[-1][0])
