"""Which operation is explained by what, however it is spelled.

The names of operations are expanded to all functions that bear them. What the table does not
have reaches autograd as it is, where each node must be linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Function, Rule
from seqlight.attribution.calls.function_bodies import opened
from seqlight.attribution.rules import (
    attention,
    comparisons,
    decompositions,
    layer_norm,
    losses,
    reductions,
    sorting,
    special_functions,
)
from seqlight.attribution.rules import operation_names as words
from seqlight.attribution.rules.activations import Smooth
from seqlight.attribution.rules.comparisons import Compare
from seqlight.attribution.rules.elementwise import Rescale, Rounding
from seqlight.attribution.rules.fractional_pooling import MAXIMA
from seqlight.attribution.rules.integrated import Integrated, Product
from seqlight.attribution.rules.order_statistics import Jumping, Selection, crossing, larger
from seqlight.attribution.rules.pooling import MaxPool
from seqlight.attribution.rules.softmax import Normalise
from seqlight.attribution.rules.unpooling import Unpool, put
from seqlight.attribution.rules.where import Choose, by_condition

Treatment = Function | Rule | None


@dataclass(frozen=True)
class Entry:
    """How calls of one function are met.

    Parameters
    ----------
    name : str
        The operation's name, the same for all words.spellings.
    function : callable
        The function to call on plain tensors; of an in-place spelling the one that is not.
    alone, together : Rule or callable, optional
        What explains it where one of its operands depends on the input, and where several do: a rule, the
        operation written in others, or None where it is linear.
    in_place : bool
        Whether the function itself writes to its first argument.
    linear_in : int, optional
        The operand in which it is linear, if there is only one.
    broadcasts : bool
        Whether operands are stretched to the size of the result.
    indices : bool, optional
        For a pooling, whether the function returns where its maxima are; None where the call tells.
    kernel : callable, optional
        What gives the same where no rule is needed, and takes less time.
    fused : callable, optional
        Takes the arguments, and returns the one operation of ours that the call is, and its arguments; None where it
        is none.
    """

    name: str
    function: Function
    alone: Treatment
    together: Treatment = None
    in_place: bool = False
    linear_in: int | None = None
    broadcasts: bool = False
    indices: bool | None = None
    kernel: Function | None = None
    fused: Function | None = None

    def treatment(self, live: tuple[int, ...], rounds: bool) -> Treatment:
        """Return what explains a call in which `live` leaves depend on the input, and that `rounds` or not."""
        if not live:
            return None
        if len(live) > 1:
            return self.together
        return None if live[0] == self.linear_in and not rounds else self.alone


@cache
def rules() -> dict[Any, Entry]:
    """Return the entry of each function that has one, by the function that PyTorch reports."""
    table: dict[Any, Entry] = {}

    def enter(name: str, alone: Treatment, together: Treatment = None, **more: Any) -> None:
        for function in words.spellings(name):
            table[function] = Entry(name, function, alone, together, **more)
        for function in words.spellings(name + "_"):
            # Of the methods the method: its order of arguments may be another.
            plain = getattr(Tensor, name, None) if function is getattr(Tensor, name + "_", None) else None
            table[function] = Entry(name, plain or words.spellings(name)[0], alone, together, in_place=True, **more)

    for name in words.UNARY:
        settings = words.SLOPES.get(name), name in words.MASKS, words.LATE.get(name), words.rounding(name)
        kind = words.SMOOTH.get(name)
        rule = Rescale(*settings) if kind is None else Smooth(*settings, kind)
        enter(name, rule, Integrated(), fused=words.FUSED.get(name))
    for name, together in words.BINARY.items():
        enter(name, Rescale(None, name in words.MASKS, rounding=words.rounding(name)), together, broadcasts=True)
    for name in words.DIVISIONS:
        enter(name, Rescale(), decompositions.div, linear_in=0, broadcasts=True)
    for name in words.PRODUCTS:
        enter(name, None, Product(words.PULLS.get(name)), kernel=words.KERNELS.get(name))
    for name, kernel in words.REARRANGED.items():
        enter(name, None, kernel=kernel)
    table[Tensor.where] = Entry(
        "where", Tensor.where, Rescale(None, True, rounding=Rounding.NONE), Choose(by_condition), broadcasts=True
    )
    for name in ("floor_divide", "__floordiv__", "heaviside"):
        together = None if name == "heaviside" else decompositions.floor_divide
        enter(name, Rescale(special_functions.no_slope, rounding=Rounding.NONE), together, broadcasts=True)
    enter("addcdiv", decompositions.addcdiv, decompositions.addcdiv)
    for name, function in words.DECOMPOSED.items():
        enter(name, function, function, fused=words.FUSED.get(name))
    for name in words.INTEGRATED:
        enter(name, Integrated(), Integrated())
    for spelled, name in words.IN_PLACE.items():
        if hasattr(Tensor, spelled):
            plain = table[getattr(torch, name)]
            table[getattr(Tensor, spelled)] = Entry(
                name, plain.function, plain.alone, plain.together, True, plain.linear_in, plain.broadcasts
            )
    for function in words.OPENED:
        body = opened(function)
        table[function] = Entry(function.__name__, function, body, body)
    for function in words.LOSSES:
        ours = getattr(losses, function.__name__)
        table[function] = Entry(function.__name__, function, ours, ours)
    table.update(_private())
    table.update(_pools())
    return table


@cache
def compared() -> dict[Any, Entry]:
    """Return the entry of each function that compares: they explain nothing, but it counts how they come out."""
    found = ((name, function) for name in comparisons.NAMES for function in words.spellings(name))
    return {function: Entry(name, function, Compare(), Compare()) for name, function in found}


def _private() -> dict[Any, Entry]:
    found = {
        getattr(reductions, f"{kind}_over"): Entry(kind, getattr(reductions, f"{kind}_over"), Normalise(kind))
        for kind in ("softmax", "log_softmax", "logsumexp")
    }
    of_one: dict[Any, tuple[str, Rule]] = {
        special_functions.elementwise: ("elementwise", Rescale()),
        special_functions.slopeless: ("slopeless", Rescale(special_functions.no_slope)),
        sorting.sorted_over_last: ("sort", Selection(crossing)),
        sorting.running_max_over_last: ("cummax", Selection(larger)),
        sorting.mode_over_last: ("mode", Jumping()),
    }
    found |= {function: Entry(name, function, rule) for function, (name, rule) in of_one.items()}
    over_last = layer_norm.standardised_over_last
    found[over_last] = Entry("standardise", over_last, layer_norm.Standardise())
    found[attention.attended] = Entry("attention", attention.attended, attention.Attention(), attention.Attention())
    found[reductions.max_over_last] = Entry("max", reductions.max_over_last, MaxPool(1), indices=True)
    for n, maxima in MAXIMA.items():
        found[maxima] = Entry(f"fractional_max_pool{n}d", maxima, MaxPool(n), indices=True)
    found[put] = Entry("max_unpool", put, Unpool(), Unpool())
    return found


def _pools() -> dict[Any, Entry]:
    table: dict[Any, Entry] = {}
    for name in ("max_pool", "adaptive_max_pool"):
        for n in (1, 2, 3):
            with_indices = getattr(F, f"{name}{n}d_with_indices")
            for function in words.spellings(f"{name}{n}d"):
                # torch.adaptive_max_pool1d and its like return both.
                both = True if name.startswith("adaptive") and function is not getattr(F, f"{name}{n}d") else None
                table[function] = Entry(f"{name}{n}d", with_indices, MaxPool(n), indices=both)
            for function in (with_indices, *words.spellings(f"{name}{n}d_with_indices")):
                table[function] = Entry(f"{name}{n}d", with_indices, MaxPool(n), indices=True)
    return table
