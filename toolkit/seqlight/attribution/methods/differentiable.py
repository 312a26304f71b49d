"""DeepLIFT attributions with a graph, for a loss that holds them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from seqlight.attribution.contributions import Block, is_complete, make_block, stack_targets
from seqlight.attribution.convergence import WARNING_THRESHOLD, ConvergenceCheck
from seqlight.attribution.engine.differentiable_modes import (
    DifferentiableReferenceMode,
    DifferentiableSequenceMode,
)
from seqlight.attribution.engine.error_context import add_module_name
from seqlight.attribution.engine.forward_record import ForwardRecord, KnownIsWritten
from seqlight.attribution.engine.modes import require_same_call
from seqlight.attribution.engine.switches import Phase
from seqlight.attribution.engine.visibility import make_visible, refuse_hidden
from seqlight.attribution.gradient_context import require_path
from seqlight.attribution.model_inputs import repeat_rows
from seqlight.attribution.references import ReferenceFunction, References
from seqlight.attribution.targets import Targets, sequence_of_rows
from seqlight.errors import InputError, UnsupportedOperation
from seqlight.prediction.arguments import require_inputs, require_module
from seqlight.prediction.borrowed_model.borrow import device_of, floating_dtype
from seqlight.prediction.borrowed_model.memory_pages import raise_mmap_threshold
from seqlight.prediction.borrowed_model.random_generators import preserve_generators
from seqlight.prediction.input_errors import explain_input_errors
from seqlight.sequence.checks import require_count, require_rank_3
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight.targets.contrast import Target


def differentiable_attributions(
    model: nn.Module,
    X: Tensor,
    references: Tensor | ReferenceFunction = dinucleotide_shuffle,
    target: Target = 0,
    *,
    args: Sequence[Tensor] | None = None,
    n_shuffles: int = 1,
    hypothetical: bool = False,
    raw_outputs: bool = False,
    random_state: int | None = None,
) -> Tensor:
    """Attribute outputs of a model to the characters of each sequence, in autograd's graph.

    What :func:`seqlight.deep_lift_shap` returns, to rounding, as a differentiable function of the parameters of the
    model, of `X` and of `references`: a loss may hold it. All pairs go through the model at once, on its own device and
    in its own dtype, without autocast.

    The model is used in evaluation mode: without dropout, and with the running statistics of batch norm, neither of
    which a change of mode in the middle of training touches. Modes, buffers, random generators, ``requires_grad`` and
    ``.grad`` stay as they are; parameters get gradients from the caller's own backward pass alone.

    Parameters
    ----------
    model : torch.nn.Module
        Called as ``model(X, *args)``; returns a tensor of shape (rows, targets) or (rows,).
    X : torch.Tensor, shape (sequences, letters, positions)
        One-hot, unknown characters as columns of zeros, or any numbers; it may require a gradient.
    references : torch.Tensor of shape (sequences, references, letters, positions), or callable
        What to compare with. A function is called as ``references(X, n=1, random_state=seed)``.
    target : int, or any target of :func:`seqlight.attribute`
        Which output to explain. With a list of targets the result has a second dimension, of targets.
    args : sequence of torch.Tensor, optional
        Further inputs with a row for each sequence; its references get the same row.
    n_shuffles : int
        References per sequence, if `references` is a function.
    hypothetical : bool
        Return what every character would contribute at each position, not only the characters of the sequence.
    raw_outputs : bool
        Return the multipliers of each reference, shape (sequences, references, letters, positions).
    random_state : int, optional
        The seed of the first reference; None for a fresh one.

    Returns
    -------
    torch.Tensor, shape of `X` (unless `raw_outputs`), on the device of the model

    Raises
    ------
    InputError
        If an argument cannot be used, or in ``torch.inference_mode()``.
    UnsupportedOperation
        If the multiplier of an operation has no derivative that is known; the message names it and its module.

    Warns
    -----
    ConvergenceWarning
        If attributions do not sum to the output difference.

    Notes
    -----
    Where an input of an operation is the same for sequence and reference, its multiplier is the slope there, and the
    derivative of the multiplier is that of the slope. At a kink, such as that of relu at 0, it is that of one side, and
    where maxima tie that of the position that gets the credit.

    Examples
    --------
    >>> import torch
    >>> import seqlight as sl
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv1d(4, 3, 5), nn.ReLU(), nn.Flatten(), nn.Linear(48, 1))
    >>> X = sl.random_one_hot((2, 4, 20)).float()
    >>> attributions = sl.differentiable_attributions(model, X, random_state=0)
    >>> attributions.abs().sum().backward()  # the sparser, the smaller
    >>> model[0].weight.grad.shape
    torch.Size([3, 4, 5])
    """
    return attributions_and_outputs(
        model,
        X,
        references,
        target,
        args=args,
        n_shuffles=n_shuffles,
        hypothetical=hypothetical,
        raw_outputs=raw_outputs,
        random_state=random_state,
    )[0]


def attributions_and_outputs(
    model: nn.Module,
    X: Tensor,
    references: Tensor | ReferenceFunction,
    target: Target,
    *,
    args: Sequence[Tensor] | None = None,
    n_shuffles: int = 1,
    hypothetical: bool = False,
    raw_outputs: bool = False,
    random_state: int | None = None,
    record: ForwardRecord | None = None,
) -> tuple[Tensor, Any]:
    """Return what :func:`differentiable_attributions` does, and what the model returns for `X`, with its graph.

    What is in `record` is not computed again.
    """
    require_module(model)
    refuse_hidden(model)
    X = require_rank_3(X, "X")
    if torch.is_inference_mode_enabled():
        raise InputError("torch.inference_mode() is on, in which nothing has a graph: call this outside of it.")
    # Of X only the shape is checked: it may hold any numbers, such as those of a sequence that is being designed.
    _, further = require_inputs(torch.zeros_like(X, requires_grad=False), args)
    targets = Targets(target, len(X))
    device, dtype = device_of(model, X.device), floating_dtype(model, X)
    if isinstance(references, Tensor):
        References(references, X.detach(), 1, None)  # checks its shape
        drawn = references
    else:
        n = require_count(n_shuffles, "n_shuffles", least=1)
        drawn = References(references, X.detach(), n, random_state).draw(0, len(X))
    raise_mmap_threshold(device)  # the backward pass frees what the next step takes again
    x, pairs = (_savable(one.to(device, dtype)) for one in (X, drawn))
    given = [_savable(one.to(device, dtype if one.is_floating_point() else None)) for one in further]
    with _lent(model, device), torch.enable_grad():
        usable = None if x.requires_grad else record
        multipliers, outputs, block = _multipliers_of_pairs(model, x, pairs, given, targets, usable)
    check = ConvergenceCheck(WARNING_THRESHOLD)
    check.add(block)
    check.warn_if_incomplete()
    if raw_outputs:
        return multipliers if targets.several else multipliers.squeeze(1), outputs
    # (sequences, targets, references, letters, positions)
    contributions = multipliers - (multipliers * pairs.unsqueeze(1)).sum(dim=-2, keepdim=True)
    found = contributions.mean(dim=2)
    found = found if hypothetical else found * x.unsqueeze(1)
    return found if targets.several else found.squeeze(1), outputs


def _multipliers_of_pairs(
    model: nn.Module, x: Tensor, pairs: Tensor, args: Sequence[Tensor], targets: Targets, record: ForwardRecord | None
) -> tuple[Tensor, Any, Block]:
    """Return multipliers, (sequences, targets, references, ...), and outputs, in the graph; and a block without one."""
    n = pairs.shape[1]
    # A reference does not find its sequence by its row if the model merges the batch into another dimension as its
    # minor index, or loops over rows: then each sequence goes through once for each of its references.
    try:
        try:
            found = _multipliers(model, x, pairs, args, targets, 1, record)
        except KnownIsWritten:
            found = _multipliers(model, x, pairs, args, targets, 1)
        if n == 1 or is_complete(found[2]):
            return found
    except UnsupportedOperation:
        if n == 1:
            raise
    return _multipliers(model, x, pairs, args, targets, n)


def _multipliers(
    model: nn.Module,
    x: Tensor,
    pairs: Tensor,
    args: Sequence[Tensor],
    targets: Targets,
    copies: int,
    record: ForwardRecord | None = None,
) -> tuple[Tensor, Any, Block]:
    n, phase = pairs.shape[1], Phase()
    rows, all_rows = (sequence_of_rows(0, len(x), times) for times in (copies, n))
    sequences = _leaf(x if copies == 1 else repeat_rows(x, copies))
    # The reference index is the major one: see calls/partners.py.
    references = _leaf(pairs.transpose(0, 1).flatten(0, 1))
    once, repeated = ([repeat_rows(one, times) for one in args] for times in (copies, n))
    with add_module_name(model):
        first = sequences.clone()  # a model may write to its input
        with _lend_buffers(model) as buffers:
            known = None if record is None else record.known_calls(x, buffers)
            if known is not None:
                known.begin(first)
            observed = DifferentiableSequenceMode(model, [first], not x.requires_grad, known)
            with observed, explain_input_errors([first, *once]):
                found = model(first, *once)
                explained = targets.read(found, rows)
                returned = _first_rows(found, len(x))
            outputs = observed.reveal_output(explained)[: len(x)]
        second = references.clone()
        mode = DifferentiableReferenceMode(model, [second], observed.kept, phase, not pairs.requires_grad)
        with _lend_buffers(model), mode, explain_input_errors([second, *repeated]):
            explained = targets.read(model(second, *repeated), all_rows)
        baselines = mode.reveal_output(explained)
        if mode.position < len(observed.kept):
            require_same_call("the end", observed.kept[mode.position].name)
        require_path(baselines, [references])
        phase.multiplies = True
        try:
            slopes = [
                torch.autograd.grad(column, references, create_graph=True, materialize_grads=True)[0]
                for column in baselines.sum(dim=0).unbind()
            ]
        finally:
            phase.multiplies = False
    by_sequence = [one.view(n, -1, *one.shape[1:]).transpose(0, 1) for one in slopes]
    with torch.no_grad():
        numbers = [[one.detach()] for one in slopes]
        block = make_block([x.detach()], [references.detach()], numbers, outputs.detach(), baselines.detach())
    return stack_targets(by_sequence), returned, block


def _first_rows(outputs: Any, n: int) -> Any:
    """Return the first `n` rows of what a model returns, whatever holds its tensors."""
    return tree_map_only(Tensor, lambda one: one[:n], outputs)


def _savable(x: Tensor) -> Tensor:
    """Return a tensor that autograd can save, which those made in inference mode are not."""
    return x.clone() if x.is_inference() else x


def _leaf(x: Tensor) -> Tensor:
    """Return a tensor with a gradient: itself, if it has one already."""
    return x if x.requires_grad else x.detach().clone().requires_grad_()


@contextlib.contextmanager
def _lent(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put `model` in evaluation mode, with its parameters as they are; restore modes and random generators."""
    modes = [(module, module.training) for module in model.modules()]
    with preserve_generators(device), torch.autocast(device.type, enabled=False), make_visible(model):
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training


@contextlib.contextmanager
def _lend_buffers(model: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Lend `model` copies of its buffers for one pass, which may write to them; yields each with its buffer."""
    buffers: list[tuple[Any, str, Tensor]] = [
        (module, name, one) for module in model.modules() for name, one in module._buffers.items() if one is not None
    ]
    copies = {id(one): one.detach().clone() for _, _, one in buffers}
    try:
        for module, name, one in buffers:
            module._buffers[name] = copies[id(one)]
        yield [(copies[id(one)], one) for _, _, one in buffers]
    finally:
        for module, name, one in buffers:
            module._buffers[name] = one
