"""Calls as twins make them: with numbers where a model has masks and counts, and without writing to an operand."""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, Function
from seqlight.attribution.rules import indicators
from seqlight.attribution.rules.comparisons import NAMES
from seqlight.attribution.rules.operation_names import GATES, writes_in_place
from seqlight.attribution.rules.table import hiding

# What uses the numbers of a mask, or of a count; anything else takes it as a mask, an index or a size.
_ARITHMETIC = GATES | frozenset(
    """
    add sub subtract rsub div divide true_divide matmul mm bmm mv dot einsum linear pow maximum minimum clamp
    clamp_min clamp_max lerp addcmul addcdiv cat concat stack
    __add__ __radd__ __sub__ __rsub__ __truediv__ __rtruediv__ __matmul__ __rmatmul__ __pow__ __rpow__
    __iadd__ __isub__ __imul__ __itruediv__ add_ sub_ mul_ div_ copy_
    """.split()
)
_LOGIC: dict[str, Function] = {
    **dict.fromkeys("__invert__ logical_not bitwise_not".split(), indicators.negate),
    **dict.fromkeys("__and__ __rand__ logical_and bitwise_and".split(), indicators.both),
    **dict.fromkeys("__or__ __ror__ logical_or bitwise_or".split(), indicators.either),
    **dict.fromkeys("__xor__ __rxor__ logical_xor bitwise_xor".split(), indicators.unlike),
    "any": torch.amax,
    "all": torch.amin,
}
# Which keep what is elementwise as it is.
ELEMENTWISE_MASKS = frozenset(NAMES) | (_LOGIC.keys() - {"any", "all"})
_CONVERSIONS = frozenset("to type type_as float double half bfloat16 int long short char byte bool cpu cuda".split())
# What chooses by a mask, which is the first or the second argument.
_CHOICES = frozenset({"where", "masked_fill", "masked_fill_", "__setitem__"})


def takes_numbers(name: str) -> bool:
    """Return whether a function uses the numbers of a mask.

    Examples
    --------
    >>> takes_numbers("mul"), takes_numbers("where")
    (True, False)
    """
    return name in _ARITHMETIC


def takes_first_alone(name: str) -> bool:
    """Return whether a function uses of other tensors than the first one nothing but shape, dtype and device.

    Examples
    --------
    >>> takes_first_alone("type_as"), takes_first_alone("add")
    (True, False)
    """
    return name in ("to", "type_as", "expand_as", "view_as", "reshape_as")


def place_of_mask(call: Call) -> int | None:
    """Return which of the arguments of a call is a mask that chooses, or None."""
    if call.name in GATES or call.name == "mul_":
        masks = [at for at, one in enumerate(call.leaves) if _is_mask(one)]
        return masks[0] if len(masks) == 1 else None
    if call.name not in _CHOICES or len(call.leaves) != 3 or call.has_keywords:
        return None
    first = (0, 1) if call.name == "where" else (1,)
    return next((at for at in first if _is_mask(call.leaves[at])), None)


def _is_mask(one: Any) -> bool:
    return isinstance(one, Tensor) and one.dtype == torch.bool


def is_finite_choice(call: Call) -> bool:
    """Return whether a call that chooses by a mask can be made by a number in its place.

    Not where it fills in infinity, of which no part can be taken, nor with one value for each element that is chosen.
    """
    if call.name not in _CHOICES:
        return True
    value = call.leaves[2]
    if isinstance(value, Tensor):
        return call.name == "where" or not value.ndim
    return math.isfinite(value)


def choose_by_number(call: Call, mask: int) -> Function:
    """Return the function that chooses by a number as the function of a call does by its argument of number `mask`."""
    if call.name == "where":
        return _choose if mask else indicators.choice
    return fill_in_place if writes_in_place(call.name) else fill


def _choose(x: Any, share: Tensor, other: Any) -> Tensor:
    y: Tensor = indicators.choice(share, x, other)
    return y


def fill(x: Tensor, share: Tensor, value: Any) -> Tensor:
    """Return `x` with `value` where `share` is 1, whose dimensions are the first ones of `x`."""
    y: Tensor = indicators.choice(share.reshape(*share.shape, *[1] * (x.ndim - share.ndim)), value, x)
    return y


def fill_in_place(x: Tensor, share: Tensor, value: Any) -> Tensor:
    """Write `value` to `x` where `share` is 1."""
    return x.copy_(fill(x.clone(), share, value))  # the rule keeps what it takes


def writes_to_operand(call: Call) -> bool:
    """Return whether a call writes to its first argument, by its name or by ``inplace=True``."""
    return writes_in_place(call.name) or (call.has_keywords and bool(call.arguments()[1].get("inplace")))


def repeatable(call: Call, twins: Collection[int], result: Tensor) -> Function:
    """Return the function that makes a call once more, with twins.

    Parameters
    ----------
    call : Call
    twins : collection of int
        Which of its arguments have a twin in their place.
    result : torch.Tensor
        What the model got.
    """
    name, function = call.name, call.function
    if name in NAMES:
        return partial(indicators.compare, name)
    if name in _LOGIC:
        return _LOGIC[name]
    mask = place_of_mask(call)
    if mask is not None and mask in twins and name in _CHOICES:
        return fill if writes_in_place(name) else choose_by_number(call, mask)
    if name in _CONVERSIONS:
        return partial(_convert, was=call.leaves[0].dtype, like=result)
    if (entry := hiding().get(function)) is not None and entry.name in ("detach", "data"):
        return _keep
    return partial(_write_to_copy, function) if writes_to_operand(call) else function


def _keep(x: Tensor) -> Tensor:
    return x


def _write_to_copy(function: Function, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    x = x.clone()
    function(x, *args, **kwargs)
    return x


def _convert(x: Tensor, *_: Any, was: torch.dtype, like: Tensor, **__: Any) -> Tensor:
    """Return numbers as a conversion to the dtype and device of `like` leaves them, with all digits of theirs."""
    if like.dtype.is_floating_point:
        return x.to(like.device)
    if was.is_floating_point:
        x = indicators.compare("ne", x, 0) if like.dtype == torch.bool else torch.trunc(x)
    return x.to(like.device)
