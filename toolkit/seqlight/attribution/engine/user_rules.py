"""The user's own rules (additional_nonlinear_ops), for classes of modules and functions of PyTorch."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.call import Call, ObserveFunction, RuleFunction
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.engine.announced_modules import announced_modules, make_announcer
from seqlight.attribution.rules import operation_names, table
from seqlight.attribution.rules.table_entry import Entry
from seqlight.errors import InputError, kind_of

Override = Callable[[Any, tuple[Tensor, ...], tuple[Tensor, ...]], Any]


class _UserFunction(RuleFunction):
    """An operation whose backward pass is a function of the user."""

    @staticmethod
    def forward(ctx: Any, call: Call, x1: Tensor, y1: Tensor, override: Override, x: Tensor) -> Tensor:
        """Return the output, and save what the backward pass needs."""
        # A copy, because the operation may write to it.
        y: Tensor = call(x.detach().clone())
        # Sequences first, references second, as in the hooks of other implementations.
        ctx.both = torch.cat([repeat_like(x1, x), x.detach()]), torch.cat([repeat_like(y1, y), y.detach()])
        ctx.call, ctx.override = call, override
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients at the operands."""
        x, y = ctx.both
        out = torch.cat([grads[0], grads[0]])
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            halves = torch.cat([ctx.call(half.clone()) for half in leaf.chunk(2)])
            (plain,) = torch.autograd.grad(halves, leaf, out)
        result = ctx.override(SimpleNamespace(input=x, output=y), (plain,), (out,))
        found = result[0] if isinstance(result, tuple | list) and result else result
        if not isinstance(found, Tensor) or found.shape != plain.shape:
            kind = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else kind_of(found)
            raise InputError(
                f"the rule {_name(ctx.override)} in additional_nonlinear_ops returned {kind}: expected the gradient "
                f"to pass on, of shape {tuple(plain.shape)} as grad_input[0]."
            )
        return None, None, None, None, found.chunk(2)[0]


class UserRule:
    """A rule made of a user's function.

    Parameters
    ----------
    override : callable
        Takes an object with ``input`` and ``output`` (sequences, then references, along the first
        dimension), the plain gradients at the input and those at the output, each a tuple of one;
        returns the gradient to pass on.
    """

    backward = _UserFunction

    def __init__(self, override: Override) -> None:
        self.override = override

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep input and output."""
        kept: list[Snapshot] = []

        def compute(x: Tensor) -> Tensor:
            y = call(x.clone())
            kept.extend((Snapshot.take(x, copy), Snapshot.take(y, copy)))
            return y  # type: ignore[no-any-return]

        return ObserveFunction.apply(compute, *call.tensors), kept

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Return the result, with the user's function as its backward pass."""
        x1, y1 = (one.get() for one in kept)
        return _UserFunction.apply(call, x1, y1, self.override, *call.tensors)


@contextlib.contextmanager
def override_rules(model: nn.Module, overrides: Mapping[Any, Override] | None) -> Iterator[dict[Any, Entry]]:
    """Yield the table of rules with `overrides`; inside, modules of the overridden classes announce their calls.

    Parameters
    ----------
    model : torch.nn.Module
        Its modules of an overridden class get a ``forward`` of their own inside.
    overrides : mapping, optional
        From a module class, or a function of PyTorch in any spelling, to a rule.

    Raises
    ------
    InputError
        If `overrides` is not a mapping, a key is neither, or a value cannot be called with three arguments.
    """
    if not isinstance(overrides, Mapping | None):
        raise InputError(
            f"additional_nonlinear_ops is {kind_of(overrides)}: expected a mapping from module classes or functions to "
            "rules, for instance {torch.nn.ReLU: rule}."
        )
    rules = table.rules() | table.hiding()
    with contextlib.ExitStack() as stack:
        for key, override in (overrides or {}).items():
            _require_key(key)
            _require_rule(override, _name(key))
            if isinstance(key, type) and issubclass(key, nn.Module):
                announce = make_announcer()
                rules[announce] = Entry(key.__name__, announce, UserRule(override))
                stack.enter_context(announced_modules(model, key, announce))
            else:
                rules.update(_make_entries(key, rules, override))
        yield rules


def _require_key(key: Any) -> None:
    """Raise InputError unless it is a module class or a function."""
    if isinstance(key, nn.Module):
        kind = type(key).__name__
        raise InputError(
            f"additional_nonlinear_ops has a module of class {kind} as key: expected a module class or a function; "
            f"use {kind} itself, which stands for all modules of that class."
        )
    if not callable(key) or (isinstance(key, type) and not issubclass(key, nn.Module)):
        raise InputError(f"additional_nonlinear_ops has the key {key!r}: expected a module class or a function.")


def _require_rule(override: Any, key: str) -> None:
    """Raise InputError unless it can be called with three arguments."""
    wanted = "expected a function of (module, grad_input, grad_output)"
    if not callable(override):
        raise InputError(f"the rule for {key} in additional_nonlinear_ops is {override!r}: {wanted}.")
    try:
        signature = inspect.signature(override)
    except (TypeError, ValueError):  # Some functions in C have no signature.
        return
    try:
        signature.bind(None, None, None)
    except TypeError:
        takes = ", ".join(signature.parameters)
        raise InputError(
            f"the rule for {key} in additional_nonlinear_ops takes ({takes}): {wanted}, "
            "that returns the gradient at the input."
        ) from None


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", None) or repr(function))


def _make_entries(function: Any, rules: Mapping[Any, Entry], override: Override) -> dict[Any, Entry]:
    """Return entries with the rule of `override` for all spellings of `function`, also those in place."""
    rule, name = UserRule(override), getattr(function, "__name__", "").rstrip("_")
    found = {one: Entry(name, one, rule) for one in (function, *operation_names.spellings(name))}
    for one in operation_names.spellings(name + "_"):
        found[one] = Entry(name, operation_names.spellings(name)[0], rule, in_place=True)
    return found
