"""The two passes that explain a model: of the sequences, and of their references.

The sequences go through the model once, and each rule records what it will need. The references go through with
gradients, and the i-th call that a rule explains uses the i-th record. One record serves every batch of references of
the same sequences. Both passes are contexts: the model is called where they are used.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from seqlight.attribution.calls.call import refuse_inner_gradients
from seqlight.attribution.calls.record import Record
from seqlight.attribution.calls.retry import Retry, Unexplained
from seqlight.attribution.engine import graph_check
from seqlight.attribution.engine.error_context import add_module_name
from seqlight.attribution.engine.modes import ReferenceMode, SequenceMode, require_same_course
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.attribution.engine.regions import Region, Trace
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.module_names import describe_module


@dataclass
class Pass:
    """What goes through a model in one pass, and what comes out.

    Attributes
    ----------
    inputs : list of torch.Tensor
        What to call the model with.
    leaves : list of torch.Tensor
        What gradients are taken with respect to.
    record : Record
    output : torch.Tensor
        To be set by whoever calls the model: what is explained.
    """

    inputs: list[Tensor]
    leaves: list[Tensor]
    record: Record = field(default_factory=Record)
    output: Any = None


def _pass_of(tensors: Sequence[Tensor], record: Record) -> Pass:
    leaves = [one.detach().clone().requires_grad_() for one in tensors]
    # Clones, because a model may write to its input.
    return Pass([leaf.clone() for leaf in leaves], leaves, record)


@contextlib.contextmanager
def sequence_pass(
    model: nn.Module,
    sequences: Sequence[Tensor],
    policy: CallPolicy,
    mode: Callable[[nn.Module, CallPolicy, Record], SequenceMode] = SequenceMode,
) -> Iterator[Pass]:
    """Call the model with sequences inside; its calls, and at the end its output, are in the record.

    Parameters
    ----------
    model : torch.nn.Module
        Frozen, in evaluation mode; for the names of its modules.
    sequences : sequence of torch.Tensor, each of shape (sequences, ...)
        For each input.
    policy : CallPolicy
    mode : callable
        What sees the calls; the audit's also keeps accounts.

    Raises
    ------
    UnsupportedOperation
        If an operation cannot be explained.
    Retry
        If the policy has to be revised, and the pass made again. For Unexplained under ``policy.inspect`` there is
        nothing to revise: see :func:`refuse_unexplained`.
    """
    this = _pass_of(sequences, Record())
    # The graph only tells what depends on the input: nothing goes back through it, so it need not keep anything.
    with torch.autograd.graph.saved_tensors_hooks(_nothing, _refuse_gradients), add_module_name(model):
        with mode(model, policy, this.record), policy.regions.mode(policy.rules, this.inputs):
            yield this
        if graph_check.unexplained([this.output], policy.explained_by) is not None:
            raise Unexplained
    _require_dependence(this.output)
    this.record.output = this.output.detach()


def _nothing(_: Any) -> Any:
    return None


def _refuse_gradients(_: Any) -> Any:
    # A gradient that the model takes itself meets nodes of autograd's own before it meets one of a rule.
    refuse_inner_gradients()


@contextlib.contextmanager
def reference_pass(
    model: nn.Module,
    references: Sequence[Tensor],
    policy: CallPolicy,
    record: Record,
    mode: Callable[[nn.Module, CallPolicy, Record], ReferenceMode] = ReferenceMode,
) -> Iterator[Pass]:
    """Call the model with references inside; the gradient of the output at a leaf is then its multiplier.

    Parameters
    ----------
    model, policy, mode
        As in :func:`sequence_pass`.
    references : sequence of torch.Tensor, each of shape (n * sequences, ...)
        For each input; the reference index is the major one.
    record : Record
        Of the sequences.

    Raises
    ------
    UnsupportedOperation
        If the references take another course through the model than their sequences.
    Retry
        If the policy has to be revised, and both passes made again.
    """
    this = _pass_of(references, record)
    calls = mode(model, policy, record)
    with add_module_name(model):
        with calls, policy.regions.mode(policy.rules, this.inputs):
            yield this
        if calls.position < len(record.calls):
            require_same_course("the end", record.calls[calls.position][0])
        _require_dependence(this.output)
        if graph_check.unexplained([this.output], policy.explained_by) is not None:
            require_same_course("an operation without a rule", "none")


def find_regions(
    model: nn.Module, forward: Callable[..., Tensor], sequences: Sequence[Tensor], policy: CallPolicy
) -> tuple[Region, ...]:
    """Run the model again, and return which parts of it have a derivative only as a whole."""
    this = _pass_of(sequences, Record())
    trace = Trace(this.inputs)
    with contextlib.suppress(Retry), SequenceMode(model, policy, this.record), trace:
        trace.returned(forward(*this.inputs))
    return trace.regions()


def _require_dependence(output: Tensor) -> None:
    if not output.requires_grad:
        raise UnsupportedOperation(
            "the model's output does not depend on its first input through differentiable operations: "
            "look for torch.no_grad(), detach() or integer conversion in forward."
        )


def refuse_unexplained(
    model: nn.Module, forward: Callable[..., Tensor], sequences: Sequence[Tensor], policy: CallPolicy
) -> None:
    """Run the model again, and refuse the first operation that nothing explains by its name and its module's.

    Raises
    ------
    UnsupportedOperation
        In any case.
    """
    found: list[tuple[nn.Module, str]] = []
    this_thread = threading.get_ident()

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if threading.get_ident() != this_thread:  # it is called in all threads, whatever model they run
            return
        before, after = ([one for one in tree_flatten(some)[0] if isinstance(one, Tensor)] for some in (inputs, output))
        node = graph_check.unexplained(after, policy.explained_by)
        if not found and node is not None and graph_check.unexplained(before, policy.explained_by) is None:
            found.append((module, graph_check.operation_of(node)))

    handle = nn.modules.module.register_module_forward_hook(look)
    try:
        with (
            contextlib.suppress(Retry),
            sequence_pass(model, sequences, policy) as this,
        ):
            this.output = forward(*this.inputs)
    finally:
        handle.remove()
    module, name = found[0] if found else (None, "an operation")
    raise UnsupportedOperation(
        f"{name} has no rule and is not linear in the input, so the attributions would be wrong: "
        f"replace the operation, or leave that part of the model out{describe_module(model, module)}"
    )
