from __future__ import annotations

import argparse
import pathlib
import sys
from functools import partial

import lightning.pytorch as L
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.cli.models import open_model
from seqlight.cli.networks import open_network
from seqlight.extras import import_extra
from seqlight.lit import checkpoints


class Net(nn.Module):
    """A model with a width."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(4, width, 3), nn.Linear(width, 1)

    def forward(self, X):
        """Return one number."""
        return self.last(self.first(X).amax(-1))


class LitNet(L.LightningModule):
    """A LightningModule around it, with a part of its own and a loss with weights."""

    def __init__(self, width: int, scale: float = 1.0, **more) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net, self.loss = Net(width), nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))

    def forward(self, X):
        """Return a number, scaled."""
        return self.hparams.scale * self.net(X)


class LitAsOne(L.LightningModule):
    """One that takes its settings as one argument."""

    def __init__(self, settings) -> None:
        super().__init__()
        self.save_hyperparameters(settings)
        self.net = Net(settings["width"])

    def forward(self, X):
        """Return a number."""
        return self.net(X)


@pytest.fixture
def named(monkeypatch):
    """The classes above, by names."""
    monkeypatch.setitem(sys.modules, "my_models", sys.modules[__name__])
    return "my_models.{}".format


def save(module, path):
    """Save a checkpoint as a Trainer does."""
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path, weights_only=True)
    return path


X = sl.random_one_hot((3, 4, 12), dtype="float32", random_state=0)


def test_files_of_weights(named, tmp_path):
    torch.manual_seed(0)
    net = Net(5)
    torch.save(net.state_dict(), tmp_path / "a.pt")
    import_extra("safetensors.torch", "safetensors").save_file(net.state_dict(), tmp_path / "a.safetensors")
    for name in ("a.pt", "a.safetensors"):
        found = open_model(named("Net"), tmp_path / name, init_args={"width": 5})
        assert not found.training
        assert torch.equal(found(X), net(X))


@pytest.mark.parametrize("cls", [LitNet, LitAsOne])
def test_a_lightning_module_has_its_arguments_from_the_checkpoint(named, tmp_path, cls):
    torch.manual_seed(0)
    lit = LitNet(width=7, scale=3.0) if cls is LitNet else LitAsOne({"width": 7, "scale": 3.0})
    path = save(lit, tmp_path / "a.ckpt")
    found = open_model(named(cls.__name__), path)
    assert torch.equal(found(X), lit(X))
    assert found.hparams.scale == 3
    part = open_model(named(cls.__name__), path, module="net")
    assert type(part) is Net
    assert torch.equal(part(X), lit.net(X))
    # The part by its own class, whose arguments the checkpoint does not know.
    assert torch.equal(open_model(named("Net"), path, init_args={"width": 7})(X), lit.net(X))
    assert type(open_model(named(cls.__name__), path, module="net.first")) is nn.Conv1d


def test_arguments_that_are_given_replace_those_of_the_checkpoint(named, tmp_path):
    path = save(LitNet(width=7, scale=3.0), tmp_path / "a.ckpt")
    assert open_model(named("LitNet"), path, init_args={"scale": 0.5}).hparams.scale == 0.5
    with pytest.raises(sl.InputError, match="size mismatch"):
        open_model(named("LitNet"), path, init_args={"width": 3})


def test_weights_of_the_part_alone(named, tmp_path):
    lit = LitNet(3)
    torch.save(lit.net.state_dict(), tmp_path / "net.pt")
    found = open_model(named("LitNet"), tmp_path / "net.pt", module="net", init_args={"width": 3})
    assert torch.equal(found(X), lit.net(X))
    with pytest.raises(sl.InputError, match=r"is of another model: .*; they fit its part 'net', which"):
        open_model(named("LitNet"), tmp_path / "net.pt", init_args={"width": 3})


class Anything:
    """Something that only its own code can make."""


@pytest.mark.reliability(
    "checkpoints",
    "hyper-parameters that are objects, paths, functions, or the classes that LightningCLI made",
    "nothing is called: an error that names the argument, unless it is given, or the file is trusted",
)
def test_hyper_parameters_that_need_code(named, tmp_path):
    lit = LitNet(2, path=pathlib.Path("a"), some=[{"x": Anything()}], cut=partial(torch.relu))
    path = save(lit, tmp_path / "a.ckpt")
    with pytest.raises(sl.InputError, match=r"'path' as pathlib\.\w+, which only its own code can make: give"):
        open_model(named("LitNet"), path)
    with pytest.raises(sl.InputError, match=r"'some' as .*Anything"):
        open_model(named("LitNet"), path, init_args={"path": 1, "cut": 1})
    assert torch.equal(open_model(named("LitNet"), path, init_args={"path": 1, "some": 2, "cut": 3})(X), lit(X))
    assert isinstance(open_model(named("LitNet"), path, trusted=True).hparams.path, pathlib.PurePath)
    # A class that does not take them does not need them.
    assert torch.equal(open_model(named("Net"), path)(X), lit.net(X))
    stored = torch.load(path, weights_only=False)
    stored["hyper_parameters"] = {
        "width": {"class_path": "os.system", "init_args": {"command": f"touch {tmp_path}/done"}},
        "_instantiator": "lightning.pytorch.cli.instantiate_module",
    }
    torch.save(stored, path)
    with pytest.raises(sl.InputError, match=r"by LightningCLI, with width as os\.system, and nothing that"):
        open_model(named("LitNet"), path)
    assert not (tmp_path / "done").exists()


@pytest.mark.reliability(
    "models by name",
    "the checkpoint of another class, a part that the model does not have, arguments that are missing",
    "an error that says which weights are missing or not known, and what may be the reason",
)
def test_what_does_not_fit(named, tmp_path):
    lit = LitNet(3)
    path = save(lit, tmp_path / "a.ckpt")
    torch.save(nn.LSTM(3, 4).state_dict(), tmp_path / "lstm.pt")
    for arguments, message in (
        ((named("LitNet"), path, "nte"), r"module is 'nte', and LitNet has no such part: .* \('net', 'loss'\)"),
        ((named("LitNet"), tmp_path / "lstm.pt"), "arguments do not fit .*: missing a required argument: 'width'"),
        (
            (named("Net"), tmp_path / "lstm.pt"),
            r"lstm\.pt is of another model: it lacks 'first.bias' and 3 more, and has 'bias_hh_l0' and 3 more, which "
            r"the model does not have; expected weights of Net; no name fits: give the class that was saved",
        ),
        ((named("Net"), path), "size mismatch for"),
        ((named("Net"), tmp_path / "none.pt"), "there is no checkpoint"),
        ((None, path), "there is no --model: expected its class; only a file that holds a whole model"),
        ((None, None), "there is no --model"),
    ):
        with pytest.raises(sl.InputError, match=message) as caught:
            open_model(*arguments)
        assert "\n" not in str(caught.value)


def test_a_whole_model_must_be_trusted(named, tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 1))
    torch.save(net, tmp_path / "whole.pt")
    assert torch.equal(open_model(None, tmp_path / "whole.pt", trusted=True)(X), net(X))
    assert type(open_model(None, tmp_path / "whole.pt", module="0", trusted=True)) is nn.Flatten
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    for arguments, message in (
        ({"checkpoint": tmp_path / "weights.pt", "trusted": True}, "holds an OrderedDict and no whole model"),
        ({"checkpoint": tmp_path / "whole.pt"}, "only with --trusted"),
        ({"checkpoint": tmp_path / "whole.pt", "trusted": True, "init_args": {"a": 1}}, "--init_args and no --model"),
    ):
        with pytest.raises(sl.InputError, match=message):
            open_model(None, **arguments)


def test_several_checkpoints(named, tmp_path):
    nets = [Net(), Net()]
    for i, net in enumerate(nets):
        torch.save(net.state_dict(), tmp_path / f"{i}.pt")
    found = open_network(named("Net"), [tmp_path / "0.pt", tmp_path / "1.pt"])
    assert all(torch.equal(one(X), net(X)) for one, net in zip(found.models, nets, strict=True))


def test_safetensors_are_an_extra(named, tmp_path, monkeypatch):
    import_extra("safetensors.torch", "safetensors").save_file(Net().state_dict(), tmp_path / "a")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(sl.MissingExtra, match=r"pip install 'seqlight\[safetensors\]'"):
        checkpoints.read_weights(tmp_path / "a")


def test_a_namespace_of_settings(named, tmp_path):
    lit = LitAsOne({"width": 2})
    stored = {"state_dict": lit.state_dict(), "hyper_parameters": {"width": 2}, "hparams_name": "settings"}
    stored["args"] = argparse.Namespace(x=1)
    torch.save(stored, tmp_path / "a.ckpt")
    assert torch.equal(open_model(named("LitAsOne"), tmp_path / "a.ckpt")(X), lit(X))
