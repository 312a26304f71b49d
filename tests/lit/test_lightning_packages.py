from __future__ import annotations

import sys

import lightning.pytorch
import pytest
import pytorch_lightning

from seqlight.lit.lightning_packages import Callback, lightning_classes
from seqlight.lit.shard_writer import ShardWriter


def test_a_class_of_each_package():
    assert lightning_classes("Trainer") == (lightning.pytorch.Trainer, pytorch_lightning.Trainer)
    assert lightning_classes("callbacks.NoSuchThing") == ()


@pytest.mark.reliability(
    "callbacks in other trainings",
    "a project that imports `pytorch_lightning`, before or after seqlight",
    "each callback is an instance of the Callback of both packages",
)
def test_our_callbacks_are_instances_of_both():
    assert issubclass(Callback, lightning.pytorch.Callback)
    assert issubclass(ShardWriter, pytorch_lightning.Callback)
    # The hooks are those of one package, so that the same ones are called as before.
    assert Callback.on_train_batch_end is lightning.pytorch.Callback.on_train_batch_end


def test_one_package_is_enough(monkeypatch):
    """Also if the other one is too old to be imported."""
    for name in [name for name in sys.modules if name.split(".")[0] == "pytorch_lightning"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert lightning_classes("callbacks.Callback") == (lightning.pytorch.Callback,)
