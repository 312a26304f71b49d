"""What computes the same has the same description, and what does not has another one."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap

import pytest

from seqlight.errors import InputError
from seqlight.results.fingerprints import describe_argument
from seqlight.results.identity.description import Description

START = "import collections, dataclasses, enum, functools, typing\nimport numpy as np, torch\nfrom torch import nn\n"


def made(source):
    """Return what a source calls `target`, as a notebook or a script would make it."""
    scope = {"__name__": "__main__"}
    torch_seed = "torch.manual_seed(0)\n"
    exec(compile(START + torch_seed + textwrap.dedent(source), "<cell>", "exec"), scope)
    return scope["target"]


def description(source):
    return Description().describe(made(source))


CHANGES = {
    "a constant in a comprehension": ("target = lambda y: [c * 2 for c in y]", "2", "3"),
    "a constant in a function inside": ("def target(y):\n    def inner(z): return z + 2\n"
        "    return inner(y)", "2", "3"),
    "a global": ("COLUMN = 2\ndef target(y): return y[:, COLUMN]", "2", "3"),
    "a global that a comprehension reads": ("C = 2\ntarget = lambda y: [C * c for c in y]", "2", "3"),
    "a global array": ("W = np.ones(3) * 2\ntarget = lambda y: y @ W", "2", "3"),
    "a global tensor": ("W = torch.ones(3) * 2\ntarget = lambda y: y @ W", "2", "3"),
    "a global model": ("torch.manual_seed(2)\nM = nn.Linear(2, 2)\ntarget = lambda y: M(y)", "seed(2)", "seed(3)"),
    "a global dict": ("W = {'a': [1, 2]}\ntarget = lambda y: y * W['a'][1]", "2", "3"),
    "a global object": ("class A:\n    pass\nA.x = 1\na = A()\na.n = 2\ntarget = lambda y: y * a.n", "2", "3"),
    "a function that is called": ("def scale(y): return y * 2\ndef target(y): return scale(y)", "2", "3"),
    "a function two calls away": ("def a(y): return y * 2\nb = lambda y: a(y)\ntarget = lambda y: b(y)", "2", "3"),
    "a default": ("target = lambda y, n=2: y * n", "2", "3"),
    "a keyword default": ("def target(y, *, n=2): return y * n", "2", "3"),
    "a default that is a lambda": ("target = lambda y, f=lambda z: z * 2: f(y)", "2", "3"),
    "a closure": ("def make(n):\n    return lambda y: y * n\ntarget = make(2)", "2", "3"),
    "a closure over a tensor": ("def make(w):\n    return lambda y: y @ w\n"
        "target = make(torch.eye(3)[2])", "[2]", "[1]"),
    "a closure over a function": ("def make(f):\n    return lambda y: f(y)\ntarget = make(lambda y: y * 2)", "2", "3"),
    "a partial": ("def f(y, n): return y * n\ntarget = functools.partial(f, n=2)", "2", "3"),
    "the function of a partial": ("target = functools.partial(lambda y, n: y * n + 2, n=1)", "+ 2", "+ 3"),
    "an object with __call__": (
        "class T:\n    def __call__(self, y): return y * 2\ntarget = T()", "2", "3"
    ),
    "the state of an object with __call__": (
        "class T:\n    def __init__(self, n): self.n = n\n    def __call__(self, y): return y * self.n\ntarget = T(2)",
        "(2)", "(3)",
    ),
    "an object with slots": (
        "class T:\n    __slots__ = ('n',)\n    def __call__(self, y): return y * self.n\ntarget = T()\ntarget.n = 2",
        "= 2", "= 3",
    ),
    "a bound method": (
        "class T:\n    n = 1\n    def of(self, y): return y * self.n\nt = T()\nt.n = 2\ntarget = t.of", "= 2", "= 3"
    ),
    "a method of a class that it inherits from": (
        "class B:\n    def __call__(self, y): return self.f(y)\n    def f(self, y): return y * 2\n"
        "class T(B):\n    pass\ntarget = T()",
        "2", "3",
    ),
    "a static method": ("class T:\n    @staticmethod\n    def of(y): return y * 2\n"
        "target = lambda y: T.of(y)", "2", "3"),
    "a property": (
        "class T:\n    @property\n    def n(self): return 2\n"
            "    def __call__(self, y): return y * self.n\ntarget = T()",
        "2", "3",
    ),
    "a class attribute": ("class T:\n    n = 2\n    def __call__(self, y): return y * self.n\ntarget = T()", "2", "3"),
    "a dataclass": (
        "@dataclasses.dataclass\nclass T:\n    n: int = 1\n    def __call__(self, y): return y * self.n\ntarget = T(2)",
        "(2)", "(3)",
    ),
    "a named tuple": (
        "class P(typing.NamedTuple):\n    a: int\n    b: int\np = P(2, 1)\ntarget = lambda y: y[:, p.a]", "2", "3"
    ),
    "a member of an enumeration": (
        "class E(enum.Enum):\n    A = 2\n    B = 1\ntarget = lambda y: y * E.A.value", "2", "3"
    ),
    "what is decorated": (
        "def twice(f):\n    @functools.wraps(f)\n    def g(y): return f(f(y))\n    return g\n"
        "@twice\ndef target(y): return y * 2",
        "* 2", "* 3",
    ),
    "the decorator": (
        "def twice(f):\n    @functools.wraps(f)\n    def g(y): return f(y) * 2\n    return g\n"
        "@twice\ndef target(y): return y",
        "* 2", "* 3",
    ),
    "what runs without gradients": ("@torch.no_grad()\ndef target(y): return y * 2", "* 2", "* 3"),
    "what is cached": ("@functools.lru_cache\ndef f(n): return n * 2\ntarget = lambda y: y * f(1)", "* 2", "* 3"),
    "what is compiled": ("target = torch.compile(lambda y: y * 2, backend='eager')", "* 2", "* 3"),
    "what is dispatched by type": (
        "@functools.singledispatch\ndef target(y): return y\n@target.register\n"
            "def _(y: int): return y * 2", "* 2", "* 3"
    ),
    "a set": ("S = {'a', 'b', 'c'}\ntarget = lambda y: y if 'a' in S else 0", "'c'", "'d'"),
    "the order of a dict": ("W = dict(a=1, b=2)\ntarget = lambda y: list(W.values())", "a=1, b=2", "b=2, a=1"),
    "a generator's seed": ("r = np.random.default_rng(2)\ntarget = lambda y: y * r.random()", "(2)", "(3)"),
    "an old generator's seed": ("r = np.random.RandomState(2)\ntarget = lambda y: y * r.rand()", "(2)", "(3)"),
    "a generator of PyTorch": ("r = torch.Generator().manual_seed(2)\n"
        "target = lambda y: torch.rand(1, generator=r)", "(2)", "(3)"),
    "zero and minus zero": ("target = lambda y: y * 0.0", "0.0", "-0.0"),
    "an int and a float": ("N = 2\ntarget = lambda y: y ** N", "2", "2.0"),
    "an attribute of a function": ("def target(y): return y * target.n\ntarget.n = 2", "= 2", "= 3"),
    "a function that calls itself": ("def target(n): return n * 2 if n < 1 else target(n - 1)", "* 2", "* 3"),
    "functions that call each other": (
        "def a(n): return b(n) if n else 2\ndef b(n): return a(n - 1)\ntarget = lambda y: a(y)", "else 2", "else 3"
    ),
    "a list of functions": ("F = [abs, lambda y: y * 2]\ntarget = lambda y: F[1](y)", "2", "3"),
    "an autograd function": (
        "class F(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x): return x * 2\n"
        "    @staticmethod\n    def backward(ctx, g): return g\ntarget = lambda y: F.apply(y)",
        "x * 2", "x * 3",
    ),
    "a class made inside": ("def target(y):\n    class A:\n        n = 2\n    return y * A.n", "2", "3"),
    "a default factory": ("D = collections.defaultdict(lambda: 2)\ntarget = lambda y: y * D[0]", "2", "3"),
    "the name of an argument": ("target = lambda y: y.sum(dim=1)", "dim", "axis"),
    "a pattern": ("import re\nP = re.compile('2')\ntarget = lambda y: P", "'2'", "'3'"),
    "a type of numbers": ("D = torch.float32\ntarget = lambda y: y.to(D)", "32", "64"),
    "a table": ("import pandas as pd\nT = pd.Series([1, 2])\ntarget = lambda y: y * T[1]", "2]", "3]"),
    "what a class is made with": (
        "N = 2\nclass A:\n    def __init__(self): self.n = N\ntarget = lambda y: A().n",
        "2",
        "3",
    ),
    "a jump": ("def target(y):\n    if y > 0: return y\n    return 0", "y > 0", "y < 0"),
    "which exception is caught": (
        "def target(y):\n    try: return y[2]\n    except IndexError: return 0", "IndexError", "KeyError"
    ),
}  # fmt: skip


@pytest.mark.reliability(
    "runs begun again", "a target, function or object changed in something that it computes with", "another description"
)
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_a_result_changes_the_description(change):
    source, old, new = CHANGES[change]
    assert old in source
    before = description(source)
    assert description(source) == before
    assert description(source.replace(old, new)) != before


@pytest.mark.reliability(
    "runs begun again", "a target that uses a module of the user's own, which was edited", "another description"
)
@pytest.mark.parametrize(
    "source",
    [
        "import {name}\ntarget = lambda y: {name}.scale(y)",
        "import {name} as lib\ntarget = lambda y: lib.scale(y)",
        "from {name} import scale\ntarget = lambda y: scale(y)",
        "from {name} import scale as target",
        "def target(y):\n    import {name}\n    return {name}.scale(y)",
        "def target(y):\n    from {name} import scale\n    return scale(y)",
        "import {name}\ntarget = lambda y: getattr({name}, 'sc' + 'ale')(y)",
        "import {name}\ntarget = {name}.Scale()",
    ],
)
def test_modules_of_the_users_own_are_read(source, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    lib = "N = 2\ndef scale(y): return y * N\nclass Scale:\n    def __call__(self, y): return scale(y)\n"
    lib += "unused = {unused}\n"

    def of(text, unused):
        name = "of_my_own"
        (tmp_path / f"{name}.py").write_text(text.replace("{unused}", str(unused)))
        importlib.invalidate_caches()
        try:
            found = description(source.format(name=name))
        finally:
            sys.modules.pop(name, None)
        return found

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = of(lib, 1)
    assert of(lib, 1) == before
    assert of(lib.replace("2", "3"), 1) != before
    if "getattr" not in source:
        assert of(lib, 2) == before


SAME = {
    "comments, docstrings and lines": (
        "def target(y):\n    return y * 2", 'def target(y):\n    """Twice."""\n\n    # two times\n    return (y\n * 2)'
    ),
    "a docstring inside": (
        "def target(y):\n    def f(z):\n        return z\n    return f(y)",
        'def target(y):\n    def f(z):\n        "As it is."\n        return z\n    return f(y)',
    ),
    "where a class inside was written": (
        "def target(y):\n    class A:\n        n = 2\n    return y * A.n",
        'def target(y):\n\n\n    class A:\n        "Two."\n        n = 2\n    return y * A.n',
    ),
    "a global that is not read": ("N = 2\ntarget = lambda y: y", "N = 3\ntarget = lambda y: y"),
    "the order of a set": ("S = {'a', 'b'}\ntarget = lambda y: S", "S = {'b', 'a'}\ntarget = lambda y: S"),
    "the order in which attributes were set": (
        "class A: pass\na = A()\na.n, a.m = 1, 2\ntarget = lambda y: a",
        "class A: pass\na = A()\na.m, a.n = 2, 1\ntarget = lambda y: a",
    ),
    "gradients": ("W = torch.ones(3)\n"
        "target = lambda y: W", "W = torch.ones(3, requires_grad=True)\ntarget = lambda y: W"),
    "training": ("M = nn.Dropout()\ntarget = lambda y: M(y)", "M = nn.Dropout().eval()\ntarget = lambda y: M(y)"),
    "a cache that was used": (
        "@functools.lru_cache\ndef f(n): return n\ntarget = lambda y: f(1)",
        "@functools.lru_cache\ndef f(n): return n\ntarget = lambda y: f(1)\ntarget(2)",
    ),
    "a cached property that was looked at": (
        "class A:\n    @functools.cached_property\n    def n(self): return 2\na = A()\ntarget = lambda y: a.n",
        "class A:\n    @functools.cached_property\n    def n(self): return 2\na = A()\na.n\ntarget = lambda y: a.n",
    ),
    "a function without gradients that was called": (
        "@torch.no_grad()\ndef target(y): return y", "@torch.no_grad()\ndef target(y): return y\ntarget(1)"
    ),
    "whether it is compiled": ("target = lambda y: y", "target = torch.compile(lambda y: y, backend='eager')"),
    "functions defined before": (
        "class F(torch.autograd.Function): pass\ntarget = lambda y: F.apply(y)",
        "class G(torch.autograd.Function): pass\nclass F(torch.autograd.Function): pass\ntarget = lambda y: F.apply(y)",
    ),
    "how an object was made": (
        "K = open\nclass A:\n    def __init__(self): self.n = K and 2\na = A()\ntarget = lambda y: a.n",
        "K = 1\nclass A:\n    def __init__(self): self.n = K and 2\na = A()\ntarget = lambda y: a.n",
    ),
}  # fmt: skip


@pytest.mark.reliability("runs begun again", "a target written otherwise that computes the same", "the run goes on")
@pytest.mark.parametrize("change", SAME)
def test_what_changes_no_result_changes_nothing(change):
    before, after = SAME[change]
    assert description(before) == description(after)


@pytest.mark.reliability(
    "runs begun again", "the same targets in two processes with other hash seeds", "the same descriptions"
)
def test_it_is_the_same_in_another_process():
    slow = {"what is compiled", "a table"}  # for what they load
    sources = [one for name, (one, _, _) in CHANGES.items() if name not in slow]
    sources.append("target = lambda y: y in {'a', 'b', 'c', 'd', ('e', 'f')}")
    sources.append("torch.manual_seed(0)\ntarget = nn.Linear(2, 3)\ntarget.names = {'a', 'b', 'c', 'd'}")
    code = (
        "import sys, importlib.util\n"
        "spec = importlib.util.spec_from_file_location('changes', sys.argv[1])\n"
        "changes = importlib.util.module_from_spec(spec); spec.loader.exec_module(changes)\n"
        "print(hash('a'), [changes.description(one) for one in eval(sys.stdin.read())])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, __file__],
        env={**os.environ, "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"},
        input=repr(sources),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seed, found = done.stdout.split(maxsplit=1)
    assert int(seed) != hash("a")
    assert found == f"{[description(one) for one in sources]}\n"


@pytest.mark.reliability(
    "runs begun again", "a target with an open file, a generator or a thread in it", "refused, with a way out"
)
@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("import sys\nF = sys.__stdout__\ntarget = lambda y: F", r"global 'F' in the target is a TextIOWrapper"),
        ("F = np.frompyfunc(lambda y: y, 1, 1)\ntarget = lambda y: F(y)", r"global 'F' in the target is a ufunc"),
        ("G = (n for n in 'ab')\ntarget = lambda y: next(G)", r"global 'G' in the target is a generator"),
        (
            "import threading\nclass A: pass\na = A()\na.x = [threading.local()]\ntarget = lambda y: a",
            r"\[0\] in attribute 'x' in global 'a' in the target is a _?local",
        ),
    ],
)
def test_what_cannot_be_described_is_refused(source, where):
    target = made(source)
    with pytest.raises(InputError, match=where + r", and there is no telling .* identity='\.\.\.', a name"):
        describe_argument(target, "the target")
    assert "digest" not in describe_argument(target, "the target", identity="mine")
    assert describe_argument(target, identity="mine") == "<lambda>"
