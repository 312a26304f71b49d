"""The modes by which multipliers stay in autograd's graph, so that they can be differentiated.

Sequences and references go through the model with plain operations of PyTorch, whose graph holds the parameters, too.
What a rule explains gets a **switch** behind it in the pass of the references: a node with two ways back. While
multipliers are computed, a gradient goes past the operation, times the multiplier, a function of both passes that is in
the graph itself. In every later backward pass, such as that of a loss, it goes through the operation as PyTorch
differentiates it. So the derivative of a multiplier finds the true derivatives behind it.

What depends on the input cannot be told by ``requires_grad``, which parameters have as well: the modes follow it from
call to call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.call import Call
from seqlight.attribution.calls.function_bodies import open_body
from seqlight.attribution.calls.leaves import flatten_arguments, tensors_in
from seqlight.attribution.calls.metadata import METADATA
from seqlight.attribution.calls.partners import repeat_like
from seqlight.attribution.engine.forward_record import KnownCalls
from seqlight.attribution.engine.graph_check import find_nonlinear
from seqlight.attribution.engine.kept_calls import KeptCall
from seqlight.attribution.engine.modes import is_gate, make_call, require_same_call
from seqlight.attribution.engine.switches import Phase, Pullback, SwitchFunction, hold, observe, pullback_of, refusal
from seqlight.attribution.engine.twin_mode import TwinMode
from seqlight.attribution.kernels.unbind import UNBIND, unbind
from seqlight.attribution.rules import operation_names, recurrent
from seqlight.attribution.rules.attention import Attention
from seqlight.attribution.rules.attention_multiplier import attend_in_parts, has_loops
from seqlight.attribution.rules.cells import Cell
from seqlight.attribution.rules.elementwise import Rescale
from seqlight.attribution.rules.linear_pullbacks import DIMENSIONS, linear_pullback
from seqlight.attribution.rules.product import Product
from seqlight.attribution.rules.pullbacks import Observed
from seqlight.attribution.rules.recurrent_arguments import NETWORKS, parameters_of
from seqlight.attribution.rules.table import hiding, rules
from seqlight.attribution.rules.table_entry import Entry
from seqlight.errors import UnsupportedOperation


class DifferentiableMode(TwinMode):
    """The mode of either pass: it knows what depends on the input, and hands each call to the pullback of its rule.

    Parameters
    ----------
    model : torch.nn.Module
        Used for the names of its modules.
    inputs : sequence of torch.Tensor
        What depends on the input from the start.
    free : bool
        Whether no loss has a derivative with respect to these.
    """

    def __init__(self, model: nn.Module, inputs: Sequence[Tensor], free: bool = False) -> None:
        super().__init__()
        self.model = model
        # By id, with the tensors themselves, so that no id is used again.
        self._dependent = {id(one): one for one in inputs}
        self._free = {id(one): one._version for one in inputs} if free else {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in METADATA and self.needs_twins(func, args, kwargs, func in hiding()):
            return self.call_with_twins(func, types, args, kwargs)
        if func in METADATA or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        known = self.find_known(func, args, kwargs)
        if self._dependent.keys().isdisjoint(map(id, flatten_arguments(args, kwargs)[0])):
            return func(*args, **kwargs) if known is None else known
        entry = rules().get(func)
        if entry is None:
            return self._call_unlisted(func, args, kwargs, known)
        while entry.fused is not None and (fused := self._fuse(entry, args, kwargs)) is not None:
            (func, args), kwargs = fused, {}
            entry = rules()[func]
        call, options, in_place = make_call(entry, args, kwargs)
        call.dependent = tuple([i for i, one in enumerate(call.leaves) if id(one) in self._dependent])
        treatment: Any = entry.treatment(call.dependent, bool(options.get("rounding_mode")))
        if treatment is None and is_gate(entry, call):
            treatment, call = Rescale(), call.broadcast()
        if treatment is None:
            y = self.call_faster(func, args, kwargs) if known is None and call.dependent == (0,) and args else known
            return self._mark(func(*args, **kwargs) if y is None else y, args, func)
        if options.get("out") is not None:
            raise UnsupportedOperation(f"{entry.name} with out= hides what depends on the input: use its result")
        call = call.broadcast() if entry.broadcasts else call
        if in_place:  # what is written to would be lost
            call = replace(call, leaves=call._leaves_with(tuple(one.clone() for one in call.tensors)))
        if isinstance(treatment, Attention) and not has_loops(call):
            treatment = attend_in_parts  # its rule is that of the products and the softmax that it consists of
        if isinstance(treatment, Cell):
            treatment = recurrent.cell_by_gates
        if entry.name in NETWORKS:
            are_fixed = not any(id(one) in self._dependent for one in parameters_of(*args))
            treatment = partial(treatment, are_fixed=are_fixed, known=known)
        if callable(treatment):
            y = self._run(treatment, call)
            if known is not None:
                return self._mark(known, args, func)
        else:
            y = self._explain(treatment, call, known)
        if entry.is_pooling:
            return y if call.returns_indices else y[0]
        if not in_place:
            return y
        target = args[0] if args else kwargs["input"]
        return self._mark(target.copy_(y), (target,), func)

    def _fuse(self, entry: Entry, args: Any, kwargs: Any) -> Any:
        assert entry.fused is not None
        originals: dict[int, tuple[Tensor, Tensor]] = {}

        def hide(one: Any) -> Any:
            if isinstance(one, Tensor) and one.requires_grad and id(one) not in self._dependent:
                original, one = one, one.detach()
                originals[id(one)] = one, original
            return one

        if entry.name == "layer_norm":  # by requires_grad it tells whether weight and bias depend on the input
            args, kwargs = tuple(map(hide, args)), {name: hide(one) for name, one in kwargs.items()}
        with self:
            fused = entry.fused(*args, **kwargs)
        if fused is None or not originals:
            return fused
        return fused[0], tuple(originals[id(one)][1] if id(one) in originals else one for one in fused[1])

    def _explain(self, rule: Any, call: Call, known: Any) -> Any:
        if any(one.is_complex() for one in call.tensors) and not isinstance(rule, Product):
            raise UnsupportedOperation(f"{call.name} of a complex tensor has no rule: write it in .real and .imag")
        pullback = pullback_of(rule, call)
        observed = observe(rule, call, known)
        ys = self.settle(observed, pullback)
        if pullback is not hold:
            self._dependent.update((id(y), y) for y in ys)
        return (*ys, *observed.results[observed.outputs :]) if len(observed.results) > 1 else ys[0]

    def settle(self, observed: Observed, pullback: Pullback) -> Sequence[Tensor]:
        """Return the results that depend on the input, of a call that a rule explains, as they go on."""
        raise NotImplementedError

    def call_faster(self, func: Any, args: Any, kwargs: Any) -> Tensor | tuple[Tensor, ...] | None:
        """Make a call that is linear in its first argument, if there is a faster way than PyTorch's own; else None."""
        return unbind(*args, **kwargs) if func in UNBIND else None

    def find_known(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Return the result of a call, with its graph, if it is known; else None."""
        return None

    def is_live(self, x: Tensor) -> bool:
        """Return whether a tensor depends on the input with a gradient."""
        return id(x) in self._dependent

    def keep(self, x: Tensor) -> Tensor:
        """Return a copy of such a tensor, for a call that is made later."""
        return self.run(torch.clone, x)  # type: ignore[no-any-return]

    def mark(self, x: Tensor) -> None:
        """Note that a tensor is live."""
        self._dependent[id(x)] = x

    def is_free(self, x: Tensor) -> bool:
        """Return whether a tensor is an input of the model as it was given, at which nobody wants a gradient."""
        return self._free.get(id(x)) == x._version

    def _run(self, function: Any, call: Call) -> Any:
        """Make a call by `function`, which composes it of simpler ones."""
        args, kwargs = call.arguments()
        self._dependent.update((id(one), one) for one in call.tensors)  # some were expanded
        with self.as_it_is():
            return function(*args, **kwargs)

    def _call_unlisted(self, func: Any, args: Any, kwargs: Any, known: Any) -> Any:
        """Make a call that is not in the table, if it is linear."""
        inputs = [one for one in flatten_arguments(args, kwargs)[0] if id(one) in self._dependent]
        if known is None and args and all(one is args[0] for one in inputs):
            y = self.call_faster(func, args, kwargs)
            if y is not None:
                return self._mark(y, args, func)
        if not operation_names.hides_in_place(func):
            y = func(*args, **kwargs) if known is None else known
            if find_nonlinear(tensors_in(y), inputs) is None:
                return self._mark(y, args, func)
            if (body := open_body(func)) is not None:
                with self.as_it_is():
                    y = body(*args, **kwargs)
                return y if known is None else self._mark(known, args, func)
        raise refusal(getattr(func, "__name__", "an operation"))

    def _mark(self, y: Any, args: Any, func: Any) -> Any:
        """Note that results depend on the input; so does what a call wrote to."""
        writes = operation_names.writes_in_place(getattr(func, "__name__", ""))
        written = [args[0]] if writes and args and isinstance(args[0], Tensor) else []
        for one in (*tensors_in(y), *written):
            if one.requires_grad:
                self._dependent[id(one)] = one
                if one._base is not None and written:
                    self._dependent[id(one._base)] = one._base
        return y


class DifferentiableSequenceMode(DifferentiableMode):
    """The mode of the pass of the sequences: it keeps each call that a rule explains.

    Parameters
    ----------
    model, inputs, free
        As for any such mode.
    known : KnownCalls, optional
        Calls that need not be made.
    """

    def __init__(
        self, model: nn.Module, inputs: Sequence[Tensor], free: bool = False, known: KnownCalls | None = None
    ) -> None:
        super().__init__(model, inputs, free)
        self.kept: list[KeptCall] = []
        self.known = known

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.known is None or func in METADATA:
            return super().__torch_function__(func, types, args, kwargs)
        self.known.prepare(func, args, kwargs or {})
        y = super().__torch_function__(func, types, args, kwargs)
        if torch.is_grad_enabled():
            self.known.follow(func, args, kwargs or {}, y)
        return y

    def find_known(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Return the result of a call, with its graph, if it is known; else None."""
        if self.known is None:
            return None
        # Whether a call that is not in the table is linear shows in its graph, if that leads to the input.
        return self.known.find(func, args, kwargs, inputs=func in rules())

    def call_faster(self, func: Any, args: Any, kwargs: Any) -> Tensor | tuple[Tensor, ...] | None:
        """Make a convolution of a free input, which need not be able to send a gradient there."""
        if func not in DIMENSIONS or not self.is_free(args[0]):
            return super().call_faster(func, args, kwargs)
        y: Tensor = func(args[0].detach(), *args[1:], **kwargs)
        return y if y.requires_grad else None

    def settle(self, observed: Observed, pullback: Pullback) -> Sequence[Tensor]:
        """Keep a call, and return its results as tensors of their own."""
        self.kept.append(KeptCall.of(observed))
        ys = observed.results[: observed.outputs]
        # A step has no gradient, but depends on the input.
        return [y if y.requires_grad else SwitchFunction.apply(Phase(), None, 1, y, *observed.operands) for y in ys]


class DifferentiableReferenceMode(DifferentiableMode):
    """The mode of the pass of the references: it sets a switch behind each call that a rule explains.

    Parameters
    ----------
    model, inputs, free
        As for any such mode.
    kept : list
        The calls of the pass of the sequences.
    phase : Phase
        Which way gradients go.
    """

    def __init__(
        self, model: nn.Module, inputs: Sequence[Tensor], kept: Sequence[KeptCall], phase: Phase, free: bool = False
    ) -> None:
        super().__init__(model, inputs, free)
        self.kept, self.phase, self.position = kept, phase, 0

    def settle(self, observed: Observed, pullback: Pullback) -> Sequence[Tensor]:
        """Return the results behind a switch."""
        name = self.kept[self.position].name if self.position < len(self.kept) else "nothing"
        require_same_call(observed.call.name, name)
        kept, own = self.kept[self.position], KeptCall.of(observed)
        self.position += 1
        if pullback is hold:
            return [repeat_like(kept.get().results[0], observed.operands[0])]

        def pull(grads: Sequence[Tensor]) -> list[Tensor]:
            return pullback(kept.get(), own.get(), grads)

        n = observed.outputs
        ys = SwitchFunction.apply(self.phase, pull, n, *observed.results[:n], *observed.operands)
        return ys if n > 1 else [ys]

    def call_faster(self, func: Any, args: Any, kwargs: Any) -> Tensor | tuple[Tensor, ...] | None:
        """Make a call, with a switch behind it."""
        pullback = linear_pullback(func, args, kwargs)
        if pullback is None:
            return super().call_faster(func, args, kwargs)
        y = func(args[0].detach() if self.is_free(args[0]) else args[0], *args[1:], **kwargs)
        switched: Tensor = SwitchFunction.apply(self.phase, lambda grads: [pullback(grads[0])], 1, y, args[0])
        return switched
