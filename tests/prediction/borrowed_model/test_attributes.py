"""Plain attributes are restored."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqlight.prediction.borrowed_model.attributes import AttributeSnapshot
from seqlight.prediction.borrowed_model.borrow import borrow


def test_attributes_and_contents_of_containers_are_restored():
    module = nn.Linear(2, 2)
    module.a, module.l, module.d, module.s, module.gone = 1, [1], {"x": 1}, {1}, 5
    containers = module.l, module.d, module.s
    before = AttributeSnapshot(module)
    module.a, module.new = 2, 3
    module.l.append(2)
    module.d["x"], module.d["y"] = 2, 3
    module.s.add(2)
    module.l = None
    del module.gone
    before.restore()
    assert (module.a, module.l, module.d, module.s, module.gone) == (1, [1], {"x": 1}, {1}, 5)
    assert all(now is one for now, one in zip((module.l, module.d, module.s), containers, strict=True))
    assert not hasattr(module, "new")


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_nothing_is_stored_of_scripted_modules():
    module = torch.jit.script(nn.Linear(2, 2))
    AttributeSnapshot(module).restore()
    assert module(torch.ones(1, 2)).shape == (1, 2)


def test_attributes_are_restored_by_the_last_call():
    model, cpu = nn.Identity(), torch.device("cpu")
    with borrow(model, cpu):
        with borrow(model, cpu, attributes=True):
            model.cache = 1
        assert not hasattr(model, "cache")
        model.kept = 2
    assert model.kept == 2
