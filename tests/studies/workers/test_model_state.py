"""What a call left changed is found, whatever it is."""

import os
import random

import numpy as np
import pytest
import torch
from torch import nn

from seqlight.studies.workers.model_state import OF_PROCESS, ModelState


def model():
    return nn.Sequential(nn.Conv1d(4, 2, 3), nn.BatchNorm1d(2), nn.ReLU()).eval()


def replace(net):
    net[2] = nn.ReLU()


CHANGES = {
    "weights": lambda net: net[0].weight.data.add_(1),
    "gradients": lambda net: setattr(net[0].bias, "grad", torch.zeros(2)),
    "requires_grad": lambda net: net[0].bias.requires_grad_(False),
    "hooks": lambda net: net[2].register_full_backward_hook(lambda *_: None),
    "train/eval modes": lambda net: net[1].train(),
    "modules": replace,
    "attributes": lambda net: setattr(net[2], "input", 3),
    "dtype or device": lambda net: net.double(),
    "random state": lambda net: random.choice([torch.rand, np.random.rand])(1),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_named(what):
    net = model()
    before = ModelState(net)
    assert before.changes(net) == []
    with torch.random.fork_rng(devices=[]):
        states = np.random.get_state(), random.getstate()
        CHANGES[what](net)
        assert what in before.changes(net)
        np.random.set_state(states[0])
        random.setstate(states[1])


def test_changes_of_the_process_are_named(tmp_path):
    net, here = model(), os.getcwd()
    before = ModelState(net)
    try:
        torch.set_default_dtype(torch.float64)
        os.chdir(tmp_path)
        with torch.no_grad():
            changes = before.changes(net)
    finally:
        torch.set_default_dtype(torch.float32)
        os.chdir(here)
    assert changes == ["gradient mode", "default dtype", "working directory"]
    assert OF_PROCESS.issuperset(changes)
    assert before.changes(net) == []
