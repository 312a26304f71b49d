"""The calls that a model makes, by operation and module, with the operands that hide the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from seqlight.attribution.audit.hidden_dependence import (
    NUMBER_FUNCTIONS,
    HiddenDependence,
    Origin,
    is_random,
    uses_first_argument_only,
    uses_shape_only,
)
from seqlight.attribution.calls.call import Call, Rule
from seqlight.attribution.calls.memory import storage_address
from seqlight.attribution.calls.record import Record
from seqlight.attribution.engine.modes import CallMode
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.rules.operation_names import writes_in_place
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.module_names import plain_name, running_modules

# Calls that concern a tensor but not its values, and those that only change its shape.
METADATA_CALLS = frozenset(
    """
    register_hook register_post_accumulate_grad_hook retain_grad requires_grad_ backward __set__ detach_
    squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_ as_strided_ resize_ resize_as_ set_
    """.split()
)

# Attributes that are computed from the values; others, such as grad_fn, differ between aliases.
VALUE_ATTRIBUTES = frozenset("T mT H mH data real imag".split())

# A module with a backward hook must find this node as the one that made its tensors.
BACKWARD_HOOK = "BackwardHookFunction"


@dataclass
class AuditedCall:
    """One call that a model made, including the primitive calls that it is composed of.

    Attributes
    ----------
    operation, module : str
        What was called, and by which module.
    rules : list of str
        How its primitive calls were explained: names of rules, or "linear".
    loss : float
        By how much it raises the sum of the contributions above the output difference.
    hidden : list of (Origin or None)
        The origins of operands without a gradient that differ between sequence and reference.
    has_gradient : bool
        Whether its result depends on the input, with a gradient.
    rounding : float
        The square of the rounding error expected in `loss`: errors of single numbers are independent.
    """

    operation: str
    module: str
    rules: list[str] = field(default_factory=list)
    loss: float = 0.0
    hidden: list[Origin | None] = field(default_factory=list)
    has_gradient: bool = False
    rounding: float = 0.0


@dataclass
class PrimitiveCall:
    """A call that the mode sees, and that is not decomposed any further.

    Parameters
    ----------
    name : str
        The name of the function.
    leaves : list
        Its arguments, flattened.
    run : callable
        Makes the call with such arguments.
    target : torch.Tensor, optional
        The argument that it writes to.
    base : torch.Tensor, optional
        The tensor with a gradient that it thereby writes to.
    """

    name: str
    leaves: list[Any]
    run: Callable[[list[Any]], Any]
    target: Tensor | None = None
    base: Tensor | None = None

    @property
    def with_gradient(self) -> list[int]:
        """The indices of its arguments with a gradient, except for the one that it writes to."""
        own = next((i for i, leaf in enumerate(self.leaves) if leaf is self.target), None)
        found = [i for i, leaf in enumerate(self.leaves) if isinstance(leaf, Tensor) and leaf.requires_grad]
        return found if self.target is None else [i for i in found if i != own]

    @property
    def without_gradient(self) -> list[Any]:
        """Its arguments without a gradient."""
        return [one for one in self.leaves if not (isinstance(one, Tensor) and one.requires_grad)]


class AuditMode(CallMode):
    """A mode that lists the calls it sees. The two passes differ in what else they do with a call.

    Attributes
    ----------
    calls : list of AuditedCall
        In order.
    hidden : HiddenDependence
        What depends on the input without a gradient.
    refused : AuditedCall or None
        The call for which the model is refused.
    coarsest : torch.dtype
        The dtype with the fewest digits among results with a gradient.
    """

    def __init__(self, model: nn.Module, policy: CallPolicy, record: Record) -> None:
        super().__init__(model, policy, record)
        self.calls: list[AuditedCall] = []
        self.hidden = HiddenDependence()
        self.refused: AuditedCall | None = None
        self._depth, self._function = 0, None
        self._call: AuditedCall | None = None
        self._names = {id(module): name for name, module in reversed(list(model.named_modules()))}
        self._owned = {storage_address(one) for one in (*model.parameters(), *model.buffers())}
        self._with_gradient: dict[int, Tensor] = {}
        self.coarsest = torch.float64

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._depth += 1
        if self._depth == 1:
            self._function, self._call = func, None
        try:
            return super().__torch_function__(func, types, args, kwargs)
        except UnsupportedOperation:
            self.refused = self.refused or AuditedCall(self._operation_name(), self._module_name(), ["refused"])
            raise
        finally:
            self._depth -= 1

    def call_directly(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that needs no rule, and list it if it depends on the input."""
        name = str(getattr(func, "__name__", ""))
        about = name == "__get__" and getattr(func.__self__, "__name__", "") not in VALUE_ATTRIBUTES
        if about or name == BACKWARD_HOOK:
            return func(*args, **kwargs)
        if name in METADATA_CALLS:
            y = func(*args, **kwargs)
            if name == "detach_":
                self._record_results(args[0], None, Origin(self._operation_name(), self._module_name()))
            return y
        leaves, structure = tree_flatten((args, kwargs))

        def run(leaves: list[Any]) -> Any:
            args, kwargs = tree_unflatten(leaves, structure)
            return func(*args, **kwargs)

        target = args[0] if args and isinstance(args[0], Tensor) and writes_in_place(name) else None
        return self._list_call("linear", PrimitiveCall(name, leaves, run, target, self.written_tensor(target)))

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call that a rule explains, and list it."""

        def run(leaves: list[Any]) -> Any:
            return super(AuditMode, self).explain(rule, replace(call, leaves=leaves), copy)

        return self._list_call(type(rule).__name__, PrimitiveCall(call.name, call.leaves, run))

    def retract(self) -> None:
        """Forget the last call: a rule makes it again."""
        if self._call is not None:
            self._call.rules.pop()

    def enter(self, call: AuditedCall, primitive: PrimitiveCall) -> Any:
        """Make a call, and enter it in the ledger of the pass."""
        raise NotImplementedError

    def written_tensor(self, target: Tensor | None) -> Tensor | None:
        """Return the tensor with a gradient that is changed by writing to `target`, or None."""
        if target is None:
            return None
        base = view_base(target)
        if base.requires_grad and base.is_leaf:  # a parameter that the forward makes and fills
            return None
        return base if base.requires_grad else self._with_gradient.get(storage_address(base))

    def _list_call(self, rule: str, primitive: PrimitiveCall) -> Any:
        """Make a primitive call, and list it with the call that it is part of if it depends on the input."""
        origin = self.hidden.first_origin(leaf for leaf in primitive.leaves if leaf is not primitive.target)
        if uses_first_argument_only(primitive.name) and not (
            primitive.leaves[0].requires_grad or self.hidden.origin(primitive.leaves[0])
        ):
            return primitive.run(primitive.leaves)
        if not primitive.with_gradient and primitive.base is None and origin is None:
            y = primitive.run(primitive.leaves)
            if is_random(primitive.name):
                self._record_results(y, primitive.target, Origin(self._operation_name(), self._module_name()))
            return y
        if self._call is None:
            self._call = AuditedCall(self._operation_name(), self._module_name())
            self.calls.append(self._call)
        self._call.rules.append(rule)
        y = self.enter(self._call, primitive)
        made = Origin(self._call.operation, self._call.module, torch.is_grad_enabled())
        if not uses_shape_only(primitive.name):
            self._record_results(y, primitive.target, origin or made)
        if primitive.name in NUMBER_FUNCTIONS:
            # A number that was drawn at random stays so, whichever function turns it into a Python number.
            drawn = origin is not None and is_random(origin.operation)
            self.hidden.numbers.append((origin if origin is not None and drawn else made, y))
        return y

    def _record_results(self, y: Any, target: Tensor | None, origin: Origin) -> None:
        """Record which results have a gradient, and the origin of those without."""
        for one in [*tree_flatten(y)[0], target]:
            if isinstance(one, Tensor) and one.requires_grad:
                self._with_gradient[storage_address(one)] = view_base(one)
                self.coarsest = coarser_dtype(self.coarsest, one.dtype)
            elif isinstance(one, Tensor) and storage_address(one) not in self._owned:
                self.hidden.record_origin(one, origin)

    def _operation_name(self) -> str:
        """Return the name of the operation that the model calls."""
        entry = self.policy.rules.get(self._function)
        return plain_name(self._function) if entry is None else entry.name.strip("_")

    def _module_name(self) -> str:
        """Return the module of the model that makes the call, as text; empty outside the model."""
        inside = (owner for owner in running_modules() if id(owner) in self._names)
        return next((f"{self._names[id(owner)]} ({type(owner).__name__})".strip() for owner in inside), "")


def view_base(tensor: Tensor) -> Tensor:
    """Return the tensor that `tensor` is a view of, or `tensor` itself."""
    base: Tensor | None = tensor._base
    return tensor if base is None else base


def coarser_dtype(a: torch.dtype, b: torch.dtype) -> torch.dtype:
    """Return the one of two dtypes that has fewer digits.

    >>> coarser_dtype(torch.float64, torch.float32), coarser_dtype(torch.bfloat16, torch.float16)
    (torch.float32, torch.bfloat16)
    """
    return b if torch.finfo(b).eps > torch.finfo(a).eps else a
