"""Take a model through its sequences and their references, explaining every operation it meets.

A ``TorchFunctionMode`` sees each call of PyTorch, however it is spelled. The sequences go
through once, and what the rules need is recorded. The references go through with gradients,
and the i-th explained call meets the i-th record. The record serves every batch of references
of the same sequences.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

from seqlight.attribution.calls.call import Discontinuous, Overwritten, Stepped, refuse_inner_gradients
from seqlight.attribution.engine import graph_check
from seqlight.attribution.engine.modes import Explain, Manner, Observe, Record, require_same_course
from seqlight.attribution.engine.module_in_errors import naming_the_module
from seqlight.attribution.engine.regions import Region, Trace
from seqlight.errors import UnsupportedOperation
from seqlight.prediction.module_names import describe_module

Forward = Callable[..., Tensor]


def observe(
    model: nn.Module,
    forward: Forward,
    inputs: Sequence[Tensor],
    manner: Manner,
    watch: Callable[[nn.Module, Manner, Record], Observe] = Observe,
) -> Record:
    """Take the sequences through `model` and record what the rules need.

    Parameters
    ----------
    model : torch.nn.Module
        Frozen, in evaluation mode; for the names of its modules.
    forward : callable
        From the inputs to what is explained: the model with its further arguments, and what is read from its output.
    inputs : sequence of torch.Tensor, each of shape (sequences, ...)
        What to explain.
    manner : Manner
        How to meet calls; becomes careful if something escapes.
    watch : callable
        What meets them; one that does more than to observe keeps books too.

    Raises
    ------
    UnsupportedOperation
        If an operation has no rule and is not linear.
    """
    record = Record()
    # The graph only tells what depends on the input; nothing goes back through it, so it keeps nothing.
    with torch.autograd.graph.saved_tensors_hooks(_nothing, _refuse_gradients), naming_the_module(model):
        output = _seen(watch(model, manner, record), forward, _leaves_of(inputs), manner)
        escaped = graph_check.unexplained([output], manner.ours) is not None
        if escaped and manner.careful:
            _refuse_escaped(model, forward, inputs, manner)
    if escaped:
        manner.careful = True
        return observe(model, forward, inputs, manner, watch)
    _require_dependence(output)
    if manner.outline.asked:
        manner.outline.regions = _regions(model, forward, inputs, manner)
        if manner.outline.waits:
            return observe(model, forward, inputs, manner, watch)
    record.output = output.detach()
    return record


def _nothing(_: Any) -> Any:
    return None


def _refuse_gradients(_: Any) -> Any:
    # Before it meets the first rule, a gradient meets nodes of autograd's own, such as that of a convolution.
    refuse_inner_gradients()


def explain(
    model: nn.Module,
    forward: Forward,
    references: Sequence[Tensor],
    manner: Manner,
    record: Record,
    watch: Callable[[nn.Module, Manner, Record], Explain] = Explain,
) -> tuple[list[Tensor], Tensor]:
    """Take references through `model`, explaining what was recorded of their sequences.

    Parameters
    ----------
    model, forward, manner
        As in :func:`observe`, the further arguments repeated for each reference.
    references : sequence of torch.Tensor, each of shape (n * sequences, ...)
        For each input; the reference index is the major one.
    record : Record
        Of the sequences.
    watch : callable
        As in :func:`observe`.

    Returns
    -------
    leaves : list of torch.Tensor, shapes of `references`
        The gradient with respect to one is its multiplier.
    output : torch.Tensor
        What was read from the model's output on the references.

    Raises
    ------
    UnsupportedOperation
        If the references take another course through the model than their sequences.
    Overwritten
        If the model changed in place what was recorded: observe again and copy.
    Stepped
        If a comparison comes out otherwise than for the sequences, and more than a mask is made of it.
    """
    leaves = [one.detach().clone().requires_grad_() for one in references]
    met = watch(model, manner, record)
    with naming_the_module(model):
        # Clones, because a model may write to its input.
        output = _seen(met, forward, [leaf.clone() for leaf in leaves], manner)
        if met.met < len(record.calls):
            require_same_course("the end", record.calls[met.met][0])
        _require_dependence(output)
        if graph_check.unexplained([output], manner.ours) is not None:
            require_same_course("an operation without a rule", "none")
    return leaves, output


def _seen(watch: TorchFunctionMode, forward: Forward, inputs: Sequence[Tensor], manner: Manner) -> Tensor:
    """Return what comes out while a mode looks on."""
    with watch, manner.outline.over(manner.rules, inputs):
        return forward(*inputs)


def _regions(model: nn.Module, forward: Forward, inputs: Sequence[Tensor], manner: Manner) -> tuple[Region, ...]:
    """Run the model again and return which parts of it only have a derivative as a whole."""
    leaves = _leaves_of(inputs)
    trace = Trace(leaves)
    with contextlib.suppress(Overwritten), Observe(model, manner, Record()), trace:
        trace.returned(forward(*leaves))
    return trace.regions()


@contextlib.contextmanager
def met_otherwise(manner: Manner) -> Iterator[None]:
    """Let calls be met otherwise from here on, where that was found wanting; what is inside has to be done again."""
    try:
        yield
    except Overwritten:  # by a model that changes its own activations in place
        if manner.copy:
            raise
        manner.copy = True
    except Stepped:
        manner.outline.drawn = True
    except Discontinuous as error:
        manner.outline.give_up(error.part)


def _leaves_of(inputs: Sequence[Tensor]) -> list[Tensor]:
    return [one.detach().clone().requires_grad_().clone() for one in inputs]


def _require_dependence(output: Tensor) -> None:
    if not output.requires_grad:
        raise UnsupportedOperation(
            "the model's output does not depend on its first input through differentiable operations: "
            "look for torch.no_grad(), detach() or integer conversion in forward."
        )


def _refuse_escaped(model: nn.Module, forward: Forward, inputs: Sequence[Tensor], manner: Manner) -> None:
    """Run the model again and refuse what nothing explains, by the name of the first module that has it inside."""
    found: list[tuple[nn.Module, str]] = []

    mine = threading.get_ident()

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if threading.get_ident() != mine:  # it is called in all threads, whatever model they run
            return
        before, after = ([one for one in tree_flatten(some)[0] if isinstance(one, Tensor)] for some in (inputs, output))
        escaped = graph_check.unexplained(after, manner.ours)
        if not found and escaped is not None and graph_check.unexplained(before, manner.ours) is None:
            found.append((module, graph_check.operation_of(escaped)))

    handle = nn.modules.module.register_module_forward_hook(look)
    try:
        with Observe(model, manner, Record()), contextlib.suppress(Overwritten):
            forward(*_leaves_of(inputs))
    finally:
        handle.remove()
    module, name = found[0] if found else (None, "an operation")
    raise UnsupportedOperation(
        f"{name} has no rule and is not linear in the input, so the attributions would be wrong: "
        f"replace the operation, or leave that part of the model out{describe_module(model, module)}"
    )
