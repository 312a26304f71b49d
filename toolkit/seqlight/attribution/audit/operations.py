"""Each call that a model makes, in which module, with what it hides of the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from seqlight.attribution.audit.hidden_dependence import (
    NUMBERS,
    Hidden,
    Origin,
    is_random,
    memory_of,
    takes_the_first_alone,
    takes_the_shape_alone,
)
from seqlight.attribution.calls.call import Call, Rule
from seqlight.attribution.calls.record import Record
from seqlight.attribution.engine.modes import CallMode
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.module_names import plain_name, running_modules

# Calls that are about a tensor and not about its values, and those that only give it another shape.
ABOUT = frozenset(
    """
    register_hook register_post_accumulate_grad_hook retain_grad requires_grad_ backward __set__ detach_
    squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_ as_strided_ resize_ resize_as_ set_
    """.split()
)

# Attributes that are computed from the values; others, such as grad_fn, an alias has of its own.
VALUES = frozenset("T mT H mH data real imag".split())

# What a module with a backward hook on it has to find as the node that made its tensors.
HOOKED = "BackwardHookFunction"

_NOT_IN_PLACE = frozenset("__init__ __index__ __int__ __invert__ __iter__".split())


@dataclass
class Meeting:
    """One call that a model made, with all that it is written in.

    Attributes
    ----------
    operation, module : str
        What was called, and where.
    manners : list of str
        How its parts were met: names of rules, or "linear".
    loss : float
        What the sum of contributions has too much because of it.
    hidden : list of (Origin or None)
        Where that comes from which it took, has no gradient, and differs between sequence and reference.
    carries : bool
        Whether its result depends on the input, with a gradient.
    rounding : float
        The square of how much of `loss` may be rounding: the errors of single numbers are independent.
    """

    operation: str
    module: str
    manners: list[str] = field(default_factory=list)
    loss: float = 0.0
    hidden: list[Origin | None] = field(default_factory=list)
    carries: bool = False
    rounding: float = 0.0


@dataclass
class Part:
    """A call that the mode sees, and that is not taken apart any further.

    Parameters
    ----------
    name : str
        The function's.
    leaves : list
        Its arguments, flat.
    run : callable
        Takes them and makes the call.
    target : torch.Tensor, optional
        Which argument it writes to.
    base : torch.Tensor, optional
        Which tensor with a gradient it writes to by that.
    """

    name: str
    leaves: list[Any]
    run: Callable[[list[Any]], Any]
    target: Tensor | None = None
    base: Tensor | None = None

    @property
    def live(self) -> list[int]:
        """Which of its arguments have a gradient, but for the one that it writes to."""
        own = next((i for i, leaf in enumerate(self.leaves) if leaf is self.target), None)
        found = [i for i, leaf in enumerate(self.leaves) if isinstance(leaf, Tensor) and leaf.requires_grad]
        return found if self.target is None else [i for i in found if i != own]

    @property
    def rest(self) -> list[Any]:
        """Its arguments without a gradient, where that is one of their own."""
        return [one for one in self.leaves if not (isinstance(one, Tensor) and one.requires_grad)]


class Meet(CallMode):
    """A watch that writes down what it meets. The two passes differ in what else they do with a call."""

    def __init__(self, model: nn.Module, policy: CallPolicy, record: Record) -> None:
        super().__init__(model, policy, record)
        self.meetings: list[Meeting] = []
        self.hidden = Hidden()
        self.refused: Meeting | None = None
        self._depth, self._function = 0, None
        self._meeting: Meeting | None = None
        self._names = {id(module): name for name, module in reversed(list(model.named_modules()))}
        self._owned = {memory_of(one) for one in (*model.parameters(), *model.buffers())}
        self._live: dict[int, Tensor] = {}
        self.coarsest = torch.float64

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._depth += 1
        if self._depth == 1:
            self._function, self._meeting = func, None
        try:
            return super().__torch_function__(func, types, args, kwargs)
        except UnsupportedOperation:
            self.refused = self.refused or Meeting(self._name(), self._place(), ["refused"])
            raise
        finally:
            self._depth -= 1

    def plain(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Make a call that needs no rule, and write it down if it depends on the input."""
        name = str(getattr(func, "__name__", ""))
        about = name == "__get__" and getattr(func.__self__, "__name__", "") not in VALUES
        if about or name == HOOKED:
            return func(*args, **kwargs)
        if name in ABOUT:
            y = func(*args, **kwargs)
            if name == "detach_":
                self._mark(args[0], None, Origin(self._name(), self._place()))
            return y
        leaves, structure = tree_flatten((args, kwargs))

        def run(leaves: list[Any]) -> Any:
            args, kwargs = tree_unflatten(leaves, structure)
            return func(*args, **kwargs)

        target = args[0] if args and isinstance(args[0], Tensor) and writes(name) else None
        return self._seen("linear", Part(name, leaves, run, target, self.written(target)))

    def explain(self, rule: Rule, call: Call, copy: bool) -> Any:
        """Make a call that a rule explains, and write it down."""

        def run(leaves: list[Any]) -> Any:
            return super(Meet, self).explain(rule, replace(call, leaves=leaves), copy)

        return self._seen(type(rule).__name__, Part(call.name, call.leaves, run))

    def retract(self) -> None:
        """Forget the last call: a rule will make it again."""
        if self._meeting is not None:
            self._meeting.manners.pop()

    def booked(self, meeting: Meeting, part: Part) -> Any:
        """Make a call, and do with it what the pass is for."""
        raise NotImplementedError

    def written(self, target: Tensor | None) -> Tensor | None:
        """Return the tensor with a gradient that a call writes to by writing to `target`, if there is one."""
        if target is None:
            return None
        base = base_of(target)
        return base if base.requires_grad else self._live.get(memory_of(base))

    def _seen(self, manner: str, part: Part) -> Any:
        origin = self.hidden.first(leaf for leaf in part.leaves if leaf is not part.target)
        if takes_the_first_alone(part.name) and not (
            part.leaves[0].requires_grad or self.hidden.origin(part.leaves[0])
        ):
            return part.run(part.leaves)
        if not part.live and part.base is None and origin is None:
            y = part.run(part.leaves)
            if is_random(part.name):
                self._mark(y, part.target, Origin(self._name(), self._place()))
            return y
        if self._meeting is None:
            self._meeting = Meeting(self._name(), self._place())
            self.meetings.append(self._meeting)
        self._meeting.manners.append(manner)
        y = self.booked(self._meeting, part)
        made = Origin(self._meeting.operation, self._meeting.module, torch.is_grad_enabled())
        if not takes_the_shape_alone(part.name):
            self._mark(y, part.target, origin or made)
        if part.name in NUMBERS:
            # A decision by lot is one by lot, whatever makes a number of it.
            drawn = origin is not None and is_random(origin.operation)
            self.hidden.numbers.append((origin if origin is not None and drawn else made, y))
        return y

    def _mark(self, y: Any, target: Tensor | None, origin: Origin) -> None:
        """Remember which results have a gradient, and where those come from that have none."""
        for one in [*tree_flatten(y)[0], target]:
            if isinstance(one, Tensor) and one.requires_grad:
                self._live[memory_of(one)] = base_of(one)
                self.coarsest = coarser(self.coarsest, one.dtype)
            elif isinstance(one, Tensor) and memory_of(one) not in self._owned:
                self.hidden.remember(one, origin)

    def _name(self) -> str:
        """Return what the call is called that the model makes."""
        entry = self.policy.rules.get(self._function)
        return plain_name(self._function) if entry is None else entry.name.strip("_")

    def _place(self) -> str:
        """Return in which module of the model the call is made; nothing outside."""
        inside = (owner for owner in running_modules() if id(owner) in self._names)
        return next((f"{self._names[id(owner)]} ({type(owner).__name__})".strip() for owner in inside), "")


def base_of(tensor: Tensor) -> Tensor:
    """Return the tensor that `tensor` is a view of, or itself."""
    base: Tensor | None = tensor._base
    return tensor if base is None else base


def coarser(a: torch.dtype, b: torch.dtype) -> torch.dtype:
    """Return which of two dtypes has fewer digits.

    >>> coarser(torch.float64, torch.float32), coarser(torch.bfloat16, torch.float16)
    (torch.float32, torch.bfloat16)
    """
    return b if torch.finfo(b).eps > torch.finfo(a).eps else a


def writes(name: str) -> bool:
    """Return whether the function of this name writes to its first argument.

    >>> [name for name in ("add_", "__iadd__", "__setitem__", "__int__", "__add__", "add") if writes(name)]
    ['add_', '__iadd__', '__setitem__']
    """
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in _NOT_IN_PLACE)
    return name.endswith("_")
