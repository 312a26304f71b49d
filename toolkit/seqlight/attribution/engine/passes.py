"""The two passes that explain a model: one of the sequences, one of their references.

The sequences go through the model once, and each rule records what it will need. The references go through with
gradients, and the i-th call that a rule explains uses the i-th entry of the record. One record serves every batch of
references of the same sequences. Both passes are context managers: the caller calls the model inside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.attribution.calls.call import refuse_inner_gradients
from seqlight.attribution.calls.record import Record
from seqlight.attribution.calls.retry import Retry, Unexplained
from seqlight.attribution.engine import graph_check
from seqlight.attribution.engine.error_context import add_module_name
from seqlight.attribution.engine.model_regions import Region, Trace
from seqlight.attribution.engine.modes import ReferenceMode, SequenceMode, require_same_call
from seqlight.attribution.engine.module_hooks import named_tensors, watch_modules
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.module_names import with_module


@dataclass
class Pass:
    """The inputs and the output of a model in one pass.

    Attributes
    ----------
    inputs : list of torch.Tensor
        What the model is called with.
    leaves : list of torch.Tensor
        What gradients are taken with respect to.
    record : Record
    output : torch.Tensor
        What is explained; set by whoever calls the model.
    """

    inputs: list[Tensor]
    leaves: list[Tensor]
    record: Record = field(default_factory=Record)
    output: Any = None


def _make_pass(tensors: Sequence[Tensor], record: Record) -> Pass:
    # A tensor that was made in inference mode never has a gradient.
    leaves = [(one.clone() if one.is_inference() else one.detach()).requires_grad_() for one in tensors]
    # Clones, because a model may write to its input.
    return Pass([leaf.clone() for leaf in leaves], leaves, record)


@contextlib.contextmanager
def sequence_pass(
    model: nn.Module,
    sequences: Sequence[Tensor],
    policy: CallPolicy,
    mode: Callable[[nn.Module, CallPolicy, Record], SequenceMode] | None = None,
) -> Iterator[Pass]:
    """Record the calls that the model makes with sequences inside, and at the end its output.

    Parameters
    ----------
    model : torch.nn.Module
        Frozen, in evaluation mode; used for the names of its modules.
    sequences : sequence of torch.Tensor, each of shape (sequences, ...)
        For each input.
    policy : CallPolicy
    mode : callable, optional
        Makes the mode that sees the calls; that of the audit also keeps a ledger. None for that of the policy.

    Raises
    ------
    UnsupportedOperation
        If an operation cannot be explained.
    Retry
        If the policy has to be revised and the pass repeated. For Unexplained with ``policy.inspect`` there is nothing
        to revise: see :func:`refuse_unexplained`.
    """
    this = _make_pass(sequences, Record())
    if mode is None and policy.channels_last:
        # Loaded where there are no compiled loops alone.
        from seqlight.attribution.engine.channels_last import ChannelsLastSequenceMode as mode
    mode = _with_parts(mode or SequenceMode, policy)
    # The graph only says what depends on the input: there is no backward pass, so it need not save anything.
    with torch.autograd.graph.saved_tensors_hooks(_discard, _refuse_gradients), add_module_name(model):
        with (
            mode(model, policy, this.record) as calls,
            policy.regions.mode(policy.rules, this.inputs),
            _read_layers(policy, calls),
        ):
            yield this
        this.output = calls.reveal_output(this.output)
        if graph_check.find_unexplained([this.output], policy.explained_by) is not None:
            raise Unexplained
    graph_check.require_path(this.output)
    this.record.output = this.output.detach()


def _discard(_: Any) -> Any:
    return None


def _refuse_gradients(_: Any) -> Any:
    # A gradient that the model itself takes reaches nodes of autograd before it reaches one of a rule.
    refuse_inner_gradients()


@contextlib.contextmanager
def reference_pass(
    model: nn.Module,
    references: Sequence[Tensor],
    policy: CallPolicy,
    record: Record,
    mode: Callable[[nn.Module, CallPolicy, Record], ReferenceMode] | None = None,
) -> Iterator[Pass]:
    """Explain the calls that the model makes with references inside: gradients at the leaves are then multipliers.

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
        If the control flow of the model differs between the references and their sequences.
    Retry
        If the policy has to be revised and both passes repeated.
    """
    this = _make_pass(references, record)
    if mode is None and policy.channels_last and record.arranged is not None:
        from seqlight.attribution.engine.channels_last import ChannelsLastReferenceMode as mode
    mode = _with_parts(mode or ReferenceMode, policy)
    calls = mode(model, policy, record)
    with add_module_name(model):
        with calls, policy.regions.mode(policy.rules, this.inputs), _read_layers(policy, calls):
            yield this
        this.output = calls.reveal_output(this.output)
        if calls.position < len(record.calls):
            require_same_call("the end", record.calls[calls.position][0])
        graph_check.require_path(this.output)
        if graph_check.find_unexplained([this.output], policy.explained_by) is not None:
            require_same_call("an operation without a rule", "none")


def _read_layers(policy: CallPolicy, calls: SequenceMode | ReferenceMode) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if policy.taps is None else policy.taps.attached(calls, policy.copy)


def _with_parts(mode: Any, policy: CallPolicy) -> Any:
    """Return a mode, or one that reads parts as well."""
    if policy.taps is None or not policy.taps.parts:
        return mode
    # Loaded for the few calls that ask for them.
    from seqlight.attribution.engine.layer_parts import with_parts

    return with_parts(mode)


def find_regions(
    model: nn.Module, forward: Callable[..., Tensor], sequences: Sequence[Tensor], policy: CallPolicy
) -> tuple[Region, ...]:
    """Run the model again, and return the parts of it that have a derivative only as a whole."""
    this = _make_pass(sequences, Record())
    trace = Trace(this.inputs)
    with contextlib.suppress(Retry), SequenceMode(model, policy, this.record), trace:
        trace.record_output(forward(*this.inputs))
    return trace.regions()


def refuse_unexplained(
    model: nn.Module, forward: Callable[..., Tensor], sequences: Sequence[Tensor], policy: CallPolicy
) -> None:
    """Run the model again, and refuse the first unexplained operation, with its name and that of its module.

    Raises
    ------
    UnsupportedOperation
        Always.
    """
    found: list[tuple[nn.Module, str]] = []

    def find_first(module: nn.Module, inputs: Any, output: Any) -> None:
        before, after = ([one for _, one in named_tensors(some)] for some in (inputs, output))
        node = graph_check.find_unexplained(after, policy.explained_by)
        if not found and node is not None and graph_check.find_unexplained(before, policy.explained_by) is None:
            found.append((module, graph_check.operation_name(node)))

    with watch_modules(find_first), contextlib.suppress(Retry), sequence_pass(model, sequences, policy) as this:
        this.output = forward(*this.inputs)
    module, name = found[0] if found else (None, "an operation")
    raise UnsupportedOperation(
        with_module(
            f"{name} has no rule and is not linear in the input: replace it, or leave that part of the model out.",
            model,
            module,
        )
    )
