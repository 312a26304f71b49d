"""What looks like a number, a list or an array, and is more than that."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from seqlight.results.fingerprints import describe_argument, fingerprint_model

START = "import collections, functools, operator\nimport numpy as np, torch\n"
CHANGES = {
    "a list that is called": "class A(list):\n    def __call__(self, y): return y * 2\ntarget = A([1])",
    "a mapping that is called": "class A(dict):\n    def __call__(self, y): return y * 2\ntarget = A(a=1)",
    "a sequence with an attribute": "class A(collections.UserList): pass\ntarget = A([1])\ntarget.n = 2",
    "a named tuple that is called": (
        "class A(collections.namedtuple('N', 'a b')):\n    def __call__(self, y): return y[2]\ntarget = A(1, 0)"
    ),
    "a number that is called": "class A(int):\n    def __call__(self, y): return y[2]\ntarget = A(1)",
    "a text that is called": "class A(str):\n    def __call__(self, y): return y[2]\ntarget = A('a')",
    "a partial of another class": (
        "class A(functools.partial):\n    def __call__(self, y): return super().__call__(y) * 2\n"
        "target = A(operator.itemgetter(0))"
    ),
    "a __call__ that is an object": "class A:\n    __call__ = functools.partial(max, 2)\ntarget = A()",
    "a cached __call__": ("class A:\n    @functools.lru_cache\n    def __call__(self, y): return y * 2\ntarget = A()"),
    "the mask of an array": "M = np.ma.array([1, 2, 0], mask=np.arange(3) < 2)\ntarget = lambda y: y * M.sum()",
    "what hangs on a tensor": "W = torch.ones(1)\nW.n = 2\ntarget = lambda y: y * W.n",
    "the class of a tensor": (
        "class W(torch.Tensor):\n    n = 2\nw = torch.ones(1).as_subclass(W)\ntarget = lambda y: y * w.n"
    ),
    "a constant of a traced function": "target = torch.jit.trace(lambda y: y + 2, torch.ones(1))",
    "a layout": "F = torch.memory_format\nS = [torch.contiguous_format] * 2\ntarget = lambda y: y.to(memory_format=S)",
    "a key that is a number": "target = {2: 0}",
    "what a key computes": "def f(y): return y * 2\ntarget = {f: 0}",
    "an array of objects": "target = np.array([2, None], dtype=object)",
}


def written(source):
    scope = {"__name__": "__main__"}
    exec(compile(START + source, "<cell>", "exec"), scope)
    return describe_argument(scope["target"])


@pytest.mark.reliability(
    "runs begun again", "a target that is a list, number or array and computes something else", "refused as another run"
)
@pytest.mark.filterwarnings("ignore:.*jit.trace:DeprecationWarning")
@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_an_object_shows(change):
    source = CHANGES[change]
    assert written(source) == written(source) != written(source.replace("2", "3"))


def test_a_key_that_is_a_number_is_no_text():
    assert describe_argument({1: 0}) != describe_argument({"1": 0})
    assert describe_argument({"target": (0, 2), "seed": np.int64(3)}) == {"target": [0, 2], "seed": 3}


@pytest.mark.reliability(
    "runs begun again", "a hook on every module that was not there before", "refused as another run"
)
def test_hooks_of_every_module_count():
    model = nn.Linear(2, 2)
    plain = fingerprint_model(model)
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output * 2)
    try:
        assert fingerprint_model(model) != plain
    finally:
        handle.remove()
    assert fingerprint_model(model) == plain
    assert torch.nn.modules.module._global_forward_hooks == {}
