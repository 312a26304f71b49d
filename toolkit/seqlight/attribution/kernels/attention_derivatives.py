"""Compiled derivatives of attention of float32, for a loss that holds attributions: ``native/attention_derivatives.c``.

The plain twins are made by autograd, of the formulas in ``rules/attention_multiplier.py``.
"""

from __future__ import annotations

from itertools import chain

from torch import Tensor

from seqlight.attribution.kernels.attention import (
    Operands,
    Recording,
    count_scores,
    empty_gradients,
    empty_output,
    head_pairs,
    heads,
    sizes,
)
from seqlight.native.threads import run


def attention_slopes(grad: Tensor, seen: Recording, scale: float) -> Operands:
    """Return the gradients at query, key and value for `grad`, that at their attention, by its derivative.

    Parameters
    ----------
    grad : torch.Tensor, shape (..., positions, width)
    seen : Recording
        What :func:`attention.record` returned beside the attention.
    scale : float
        What the scores were multiplied by.
    """
    operands = Operands(*seen[:3])
    mine, g, found = Operands(*map(heads, operands)), heads(grad), empty_gradients(operands)
    numbers = *sizes(mine, g, None, Operands(*map(heads, found))), scale, 0
    count = operands.query.shape[:-2].numel()
    run("attention_slopes", (g, *mine, seen.weights, *found), numbers, count, count_scores(operands))
    return found


def attention_derivatives(
    given: Operands, grad: Tensor, seen: Recording, own: Recording, scale: float, nearness: float
) -> tuple[Tensor, Operands, Operands]:
    """Return the gradients at `grad`, and at the operands of sequences and references.

    Parameters
    ----------
    given : Operands
        The gradients at what :func:`attention.attention_vjp` returns.
    grad : torch.Tensor, shape (..., positions, width)
        What it returned them for.
    seen, own : Recording
        Of the sequences, by :func:`attention.observe`, and of the references, by :func:`attention.record`.
    scale : float
        What the scores are multiplied by.
    nearness : float
        The square of the step at which the quotient and the mean of two softmaxes count the same.

    Returns
    -------
    at_grad : torch.Tensor, shape of `grad`
    at_sequences, at_references : Operands, shapes of the operands of the references
        A sequence has a gradient for each of its references, to be added up.
    """
    operands = Operands(*own[:3])
    by, mine, mates = (Operands(*map(heads, one)) for one in (given, operands, seen[:3]))
    g, pairs = heads(grad), head_pairs(seen.query, operands.query)
    at_grad, at_1, at_0 = empty_output(operands), empty_gradients(operands), empty_gradients(operands)
    more = [one.stride()[:3] for one in (*by, *map(heads, (at_grad, *at_1)))]
    laid = sizes(mine, g, None, Operands(*map(heads, at_0)), mates, pairs)
    numbers = *laid, scale, nearness, *chain.from_iterable(more)
    tensors = *by, g, *mine, *mates, *seen[3:6], *own[3:6], at_grad, *at_1, *at_0
    run("attention_derivatives", tensors, numbers, operands.query.shape[:-2].numel(), count_scores(operands))
    return at_grad, at_1, at_0
