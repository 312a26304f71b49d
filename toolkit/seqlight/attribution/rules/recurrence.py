"""The rule for one layer of a recurrent network, in one direction or both: LSTM, GRU, tanh or relu.

Written out, a step is made of products, which take their Jacobian half way between reference and input
(``product.py``), and of sigmoids, tanh and relu, which take their secants (``elementwise.py``). So the rule has the
same multipliers as gates written by hand. PyTorch computes the outputs; the gates of all steps follow from these in two
large products of matrices. The gradient then goes back from step to step, with what depends on no gradient computed for
many steps at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from seqlight.attribution.calls.call import Call, ObserveFunction
from seqlight.attribution.calls.function_bodies import as_operation
from seqlight.attribution.calls.record import Snapshot
from seqlight.attribution.rules.directions import each_way, of_each_way, part_ways, sum_ways
from seqlight.attribution.rules.gru import gru_vjp
from seqlight.attribution.rules.lstm import lstm_vjp
from seqlight.attribution.rules.mean_jacobian import VJPFunction
from seqlight.attribution.rules.rnn import rnn_relu_vjp, rnn_tanh_vjp
from seqlight.attribution.rules.steps import Layer

# From the gradients at the outputs and the last states, and both layers, to those at input and first states.
KINDS: dict[str, Callable[[Sequence[Tensor], Layer, Layer], tuple[Tensor, ...]]] = {
    "lstm": lstm_vjp,
    "gru": gru_vjp,
    "rnn_tanh": rnn_tanh_vjp,
    "rnn_relu": rnn_relu_vjp,
}


@as_operation
def recur(
    x: Tensor, kind: str, states: Sequence[Tensor], weights: Sequence[Tensor], known: Sequence[Tensor] | None = None
) -> tuple[Tensor, ...]:
    """Return the outputs of one layer, and its last states.

    Parameters
    ----------
    x : torch.Tensor, shape (steps, rows, features)
    kind : {"lstm", "gru", "rnn_tanh", "rnn_relu"}
    states : sequence of torch.Tensor, each of shape (directions, rows, size)
        The first states, and of an LSTM the first cell states.
    weights : sequence of torch.Tensor
        For each direction: for the input, for the state, both biases, if there are any, and for a projection of the
        state, if there is one.
    known : sequence of torch.Tensor, optional
        The result, if it is known.

    Returns
    -------
    tuple of torch.Tensor, of shape (steps, rows, directions * size), and as `states`
    """
    if known is not None:
        return tuple(known)
    directions = len(states[0])
    hx, has_biases = tuple(states) if kind == "lstm" else states[0], len(weights) > 3 * directions
    train = torch.is_grad_enabled()  # cuDNN has no backward pass in evaluation mode, and there is no dropout
    y, *last = getattr(torch, kind)(x, hx, list(weights), has_biases, 1, 0.0, train, directions == 2, False)
    # Copies, because some kernels return the last state as a part of the outputs.
    return y.contiguous(), *(one.clone() for one in last)


class Recurrence:
    """A call of :func:`recur`, with weights that do not depend on the input."""

    backward: ClassVar[type[torch.autograd.Function]] = VJPFunction

    def observe(self, call: Call, copy: bool) -> tuple[Any, Any]:
        """Keep input, first states and outputs: all else follows from them."""
        found = ObserveFunction.apply(call, *call.tensors)
        return found, _keep(call, found[0], copy)

    def explain(self, call: Call, kept: Any, copy: bool) -> Any:
        """Multiply by the mean Jacobians of all steps, in the backward pass."""
        weights = call.arguments()[0][3]
        recorded, own = kept, list[Any]()

        def vjp(grads: Sequence[Tensor]) -> list[Tensor]:
            kind, mine = call.arguments()[0][1], own[0]
            pairs = zip(_layers(recorded, weights), _layers(mine, weights), strict=True)
            arriving = zip(part_ways(grads[0], len(grads[1])), *grads[1:], strict=True)
            at_x, *at_states = zip(
                *(KINDS[kind](g, *pair) for g, pair in zip(arriving, pairs, strict=True)), strict=True
            )
            found = sum_ways(at_x), *map(torch.stack, at_states)
            # The second leaf is the kind.
            at = dict(zip((0, *range(2, 1 + len(found))), found, strict=True))
            return [at[leaf] for leaf in call.dependent]

        found = VJPFunction.apply(call, vjp, *call.tensors)
        own.append(_keep(call, found[0], copy))
        return found


def _keep(call: Call, y: Tensor, copy: bool) -> list[Any]:
    x, _, states, *_ = call.arguments()[0]
    return [Snapshot.take(x, copy), [Snapshot.take(one, copy) for one in states], Snapshot.take(y, copy)]


def _layers(kept: Any, weights: Sequence[Tensor]) -> list[Layer]:
    """Return a layer for each direction, in its own order of time."""
    x, states, y = kept[0].get(), [one.get() for one in kept[1]], kept[2].get()
    n = len(states[0])
    ways = each_way(x, n), zip(*states, strict=True), part_ways(y, n), of_each_way(weights, n)
    return [Layer(*way) for way in zip(*ways, strict=True)]
