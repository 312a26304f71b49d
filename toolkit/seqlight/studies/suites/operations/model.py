"""The model of the study by operation, a convolution, one operation and a readout; and its source for a reader."""

from __future__ import annotations

import math
import re
from functools import cache
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqlight.studies.suites.operations.arguments import TENSORS

CHANNELS, WIDTH = 6, 3
NAMES = {"torch": torch, "nn": nn, "F": F, "Tensor": Tensor, "math": math}


@cache
def subclass(kind: type[nn.Module]) -> type[nn.Module]:
    """Return a subclass of a module's class that changes nothing, as users have of their own."""
    return type(f"My{kind.__name__}", (kind,), {})


class OperationModel(nn.Module):
    """A convolution, one operation that is given as the text of its call, and a linear readout.

    Parameters
    ----------
    expression : str
        The call, of x.
    module : str
        The expression that makes the module which it calls, "" if it calls none.
    domain : tuple of float
        Between which numbers x lies for one-hot sequences.
    reused : bool
        Whether the operation is used twice, on x and on x with its channels in reverse.
    rectified : bool
        Whether x goes through a ReLU before.
    length : int
        The number of positions of sequences.
    """

    def __init__(
        self,
        expression: str,
        module: str = "",
        domain: tuple[float, float] = (-2.5, 2.5),
        reused: bool = False,
        rectified: bool = False,
        length: int = 18,
    ) -> None:
        super().__init__()
        self.expression, self.module, self.domain, self.reused = expression, module, domain, reused
        self.conv = nn.Conv1d(4, CHANNELS, WIDTH)
        # One weight for each position of the kernel counts, that of its letter.
        nn.init.uniform_(self.conv.weight, 0, (domain[1] - domain[0]) / WIDTH)
        nn.init.constant_(self.conv.bias, domain[0])  # type: ignore[arg-type]
        self.relu = nn.ReLU() if rectified else None
        self.operation = eval(module, NAMES | {"subclass": subclass}) if module else None
        with torch.no_grad():  # in float64, which some operations ask for
            features = self.double().operate(torch.zeros(4, 4, length, dtype=torch.float64)).shape[1]
        self.float()
        self.readout = nn.Linear(features, 1)

    def forward(self, X: Tensor) -> Tensor:
        """Return one output, shape (rows, 1)."""
        y: Tensor = self.readout(self.operate(X))
        return y

    def operate(self, X: Tensor) -> Tensor:
        """Return what the readout gets, shape (rows, features)."""
        x = self.conv(X)
        if self.relu is not None:
            x = self.relu(x)
        y = self.evaluate(x)
        return (y + self.evaluate(x.flip(1)) if self.reused else y).reshape(len(X), -1)

    def evaluate(self, x: Tensor) -> Tensor:
        """Return the result of the expression."""
        code = compiled(self.expression)
        names: dict[str, Any] = {"self": self, "x": x}
        for name in tensors_of(code):
            names[name] = eval(TENSORS[name], NAMES | {"x": x})
        y: Tensor = eval(code, NAMES | names)
        return y


@cache
def compiled(expression: str) -> CodeType:
    """Return the code of an expression."""
    return compile(expression, f"<{expression}>", "eval")


@cache
def tensors_of(code: CodeType) -> tuple[str, ...]:
    """Return the names in TENSORS that a code uses."""
    names = set(code.co_names).union(*(one.co_names for one in code.co_consts if isinstance(one, CodeType)))
    return tuple(name for name in TENSORS if name in names)


def write_source(
    expression: str,
    module: str = "",
    domain: tuple[float, float] = (-2.5, 2.5),
    reused: bool = False,
    rectified: bool = False,
) -> str:
    """Return the class of such a model as a user would write it, on lines of its own."""
    low, high = domain
    own = re.match(r"subclass\(nn\.(\w+)\)", module)
    made = [f"        {name} = {TENSORS[name]}" for name in tensors_of(compiled(expression))]
    lines = [
        *([f"class My{own[1]}(nn.{own[1]}):", "    pass", "", ""] if own else []),
        "class Model(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        f"        self.conv = nn.Conv1d(4, {CHANNELS}, {WIDTH})",
        f"        nn.init.uniform_(self.conv.weight, 0, {(high - low) / WIDTH:.3g})",
        f"        nn.init.constant_(self.conv.bias, {low})",
        *(["        self.relu = nn.ReLU()"] if rectified else []),
        *([f"        self.operation = {f'My{own[1]}{module[own.end() :]}' if own else module}"] if module else []),
        "        self.readout = nn.LazyLinear(1)",
        "",
        "    def forward(self, X):",
        f"        x = {'self.relu(self.conv(X))' if rectified else 'self.conv(X)'}",
        *made,
        f"        y = {expression}",
    ]
    if reused:
        lines += ["        x = x.flip(1)", *made, f"        y = y + {expression}"]
    return "\n".join([*lines, "        return self.readout(y.reshape(len(X), -1))"])
