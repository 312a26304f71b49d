"""Rules of the user's own, for a module class or for a function of PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from seqlight.attribution import table
from seqlight.attribution.pairing import repeated
from seqlight.attribution.rules import Observed, Recorded
from seqlight.attribution.table import Entry
from seqlight.errors import InputError

Override = Callable[[Any, tuple[Tensor, ...], tuple[Tensor, ...]], Any]


class _Overridden(torch.autograd.Function):
    """An operation whose way back is a function of the user's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, op: Any, x1: Tensor, y1: Tensor, override: Override) -> Tensor:
        y: Tensor = op(x.detach())
        # Sequences first, references second, as in the hooks of other implementations.
        ctx.both = torch.cat([repeated(x1, x), x.detach()]), torch.cat([repeated(y1, y), y.detach()])
        ctx.op, ctx.override = op, override
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, y = ctx.both
        out = torch.cat([grads[0], grads[0]])
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            halves = torch.cat([ctx.op(half) for half in leaf.chunk(2)])
            (plain,) = torch.autograd.grad(halves, leaf, out)
        found = ctx.override(SimpleNamespace(input=x, output=y), (plain,), (out,))
        found = found[0] if isinstance(found, tuple | list) else found
        return found.chunk(2)[0], None, None, None, None


class Overriding:
    """The rule that an override makes.

    Parameters
    ----------
    override : callable
        Takes an object with ``input`` and ``output`` (sequences, then references, along the first
        dimension), the plain gradients at the input and those at the output, each a tuple of one;
        returns the gradient to pass on.
    """

    backward = _Overridden

    def __init__(self, override: Override) -> None:
        self.override = override

    def observe(self, op: Any, x: Tensor, copy: bool) -> tuple[Tensor, Any]:
        """Keep input and output."""
        kept: list[Recorded] = []

        def compute(x: Tensor) -> Tensor:
            y = op(x)
            kept.extend((Recorded.of(x, copy), Recorded.of(y, copy)))
            return y  # type: ignore[no-any-return]

        out: Tensor = Observed.apply(x, compute)  # type: ignore[no-untyped-call]
        return out, kept

    def explain(self, op: Any, x: Tensor, kept: Any) -> Tensor:
        """Let the override make the way back."""
        x1, y1 = (one.get() for one in kept)
        out: Tensor = _Overridden.apply(x, op, x1, y1, self.override)  # type: ignore[no-untyped-call]
        return out


@contextlib.contextmanager
def overridden(model: nn.Module, overrides: Mapping[Any, Override] | None) -> Iterator[dict[Any, Entry]]:
    """Yield the table with `overrides` in it; until the end, modules of the overridden classes announce their calls.

    Parameters
    ----------
    model : torch.nn.Module
        Its modules of an overridden class get a ``forward`` of their own, and lose it again.
    overrides : mapping, optional
        From a module class, or a function of PyTorch in any spelling, to a rule.

    Raises
    ------
    InputError
        If a key is neither, or a value cannot be called.
    """
    rules = dict(table.rules())
    with contextlib.ExitStack() as returns:
        for key, override in (overrides or {}).items():
            if not callable(override):
                raise InputError(f"the rule for {key!r} is {override!r}: expected a function of three arguments.")
            if isinstance(key, type) and issubclass(key, nn.Module):
                announce = _announcer()
                rules[announce] = Entry(key.__name__, Overriding(override), announce)
                for module in model.modules():
                    if isinstance(module, key):
                        returns.callback(_restore_forward, module, vars(module).get("forward"))
                        module.forward = _announced(announce, module.forward)
            elif callable(key):
                for spelled in table.spellings(getattr(key, "__name__", "")) or [key]:
                    rules[spelled] = Entry(spelled.__name__, Overriding(override), spelled)
            else:
                raise InputError(f"{key!r} is in additional_nonlinear_ops: expected a module class or a function.")
        yield rules


def _announcer() -> Any:
    """Return a new function that calls a module's forward, and that a mode sees as one operation."""

    def announce(x: Tensor, forward: Any, *more: Any) -> Any:
        if has_torch_function_unary(x):
            return handle_torch_function(announce, (x,), x, forward, *more)
        return forward(x, *more)

    return announce


def _announced(announce: Any, forward: Any) -> Any:
    def announced(x: Tensor, *more: Any) -> Any:
        return announce(x, forward, *more)

    return announced


def _restore_forward(module: nn.Module, own: Any) -> None:
    del module.forward
    if own is not None:
        module.forward = own
