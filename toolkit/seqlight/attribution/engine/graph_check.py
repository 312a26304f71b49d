"""Check autograd's graph: which operations are linear, whether any has no explanation, and where it leads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge
from torch.nn.parallel import _functions as parallel

from seqlight.errors import UnsupportedOperation

# Names of autograd nodes, without their number, that are linear if only one operand depends on the input.
LINEAR = frozenset(
    """
    Add Sub Rsub Neg Mul Addmm Addmv Addr Addbmm Baddbmm Bmm Mm Mv Dot Vdot Ger Linear Addcmul LinalgCross Trilinear
    Convolution ConvolutionOverrideable MkldnnConvolution CudnnConvolution MiopenConvolution MpsConvolution
    SlowConv2D SlowConv3D SlowConvDilated2D SlowConvDilated3D SlowConvTranspose2D SlowConvTranspose3D ConvTbc
    NativeBatchNorm CudnnBatchNorm MiopenBatchNorm BatchNormWithUpdate
    Sum Nansum Mean Cumsum Trace Diff
    View UnsafeView ReshapeAlias Reshape Permute Transpose T Mt Squeeze Unsqueeze Expand Repeat RepeatInterleave
    Select Slice Index IndexSelect IndexPut IndexAdd IndexCopy IndexFill Gather Scatter ScatterAdd Take TakeAlongDim
    Cat Stack Split SplitWithSizes UnsafeSplit UnsafeSplitWithSizes UnsafeChunk Unbind Narrow Flip Roll Rot90
    SelectScatter SliceScatter DiagonalScatter AsStridedScatter AsStrided Diagonal Tril Triu Unfold
    ConstantPadNd Pad ReflectionPad1D ReflectionPad2D ReflectionPad3D ReplicationPad1D ReplicationPad2D ReplicationPad3D
    AvgPool1D AvgPool2D AvgPool3D AdaptiveAvgPool1D AdaptiveAvgPool2D AdaptiveAvgPool3D MkldnnAdaptiveAvgPool2D
    UpsampleNearest1D UpsampleNearest2D UpsampleNearest3D UpsampleNearestExact1D UpsampleNearestExact2D
    UpsampleNearestExact3D UpsampleLinear1D UpsampleBilinear2D UpsampleBicubic2D UpsampleTrilinear3D
    UpsampleBilinear2DAa UpsampleBicubic2DAa PixelShuffle PixelUnshuffle ChannelShuffle Im2Col Col2Im
    Clone Copy CopySlices ToCopy Alias Contiguous Identity Where MaskedFill MaskedSelect MaskedScatter
    FftR2C FftC2C FftC2R Real Imag ViewAsReal ViewAsComplex Conj ConjPhysical ResolveConj NegView ResolveNeg Complex
    NllLoss NllLoss2D
    AccumulateGrad Deg2Rad Rad2Deg Trapezoid Kron Tensordot Positive PackPaddedSequence
    """.split()
)

# Products: only one of the operands at these positions may depend on the input.
FACTORS = {
    **dict.fromkeys("Mul Mm Bmm Mv Dot Vdot Ger Linear Kron LinalgCross Convolution".split(), (0, 1)),
    **dict.fromkeys("ConvolutionOverrideable MkldnnConvolution CudnnConvolution ConvTbc".split(), (0, 1)),
    **dict.fromkeys("NativeBatchNorm CudnnBatchNorm MiopenBatchNorm BatchNormWithUpdate".split(), (0, 1)),
    **dict.fromkeys("Addmm Addmv Addr Addbmm Baddbmm Addcmul".split(), (1, 2)),
    "Trilinear": (0, 1, 2),
}
# Quotients: the operand at this position may not depend on it at all.
DIVISOR = {"Div": 1, "Addcdiv": 2}
# Their nodes say whether the statistics are those of the batch, which depend on all rows.
_BATCH_NORMS = frozenset("NativeBatchNorm CudnnBatchNorm MiopenBatchNorm BatchNormWithUpdate".split())
# The classes of nodes, of one operation each, that were found to be linear whatever their operands.
_LINEAR_CLASSES: set[type] = set()
# PyTorch's own autograd functions in Python, all linear: for backward hooks of modules, and for DataParallel.
_IN_PYTHON = (torch.nn.modules._functions.BackwardHookFunction, parallel.Scatter, parallel.Gather)


def is_linear(node: Any) -> bool:
    """Return whether a node of the autograd graph is linear in the operands that depend on the input."""
    name = node.name()
    kind = _kind(name)
    if kind is True and type(node).__name__ == name.rpartition("::")[2]:  # not a class for nodes of any operation
        _LINEAR_CLASSES.add(type(node))
    if isinstance(kind, bool):
        return kind
    return _is_linear_in(kind, node, [edge is not None for edge, _ in node.next_functions])


@cache
def _kind(name: str) -> bool | str:
    """Return whether nodes of this name are linear; the operation's name where that depends on their operands."""
    operation = _operation(name)
    # An autograd function in Python, such as a user's, may have the name of an operation, but has no number.
    if name.endswith("Backward"):
        return False
    return operation if operation in FACTORS or operation in DIVISOR or operation == "Lerp" else operation in LINEAR


def _is_linear_in(operation: str, node: Any, dependent: Sequence[bool]) -> bool:
    """Return whether the node of an operation is linear in those of its operands that are `dependent`."""
    if operation in DIVISOR:
        return not any(dependent[DIVISOR[operation] :])
    if operation == "Lerp":  # of two tensors, by a third that is a factor of both
        return sum(dependent) < 2 or not all(dependent[2:3] or [False])
    if operation in _BATCH_NORMS and getattr(node, "_saved_training", False):
        return False
    return sum(dependent) < 2 or sum(dependent[i] for i in FACTORS[operation] if i < len(dependent)) < 2


def operation_name(node: Any) -> str:
    """Return the name of the operation behind a node: ``MulBackward0`` gives ``Mul``."""
    return _operation(node.name())


@cache
def _operation(name: str) -> str:
    return name.rsplit("::", 1)[-1].rstrip("0123456789").removesuffix("Backward").removesuffix("Backwards")


def find_unexplained(outputs: Iterable[Tensor], explained_by: Collection[Any], inputs: Iterable[Tensor] = ()) -> Any:
    """Return a node between `inputs` and `outputs` that is neither linear nor explained by a rule, or None.

    Parameters
    ----------
    outputs : iterable of torch.Tensor
        Where the search starts.
    explained_by : collection of type
        The autograd functions of the rules.
    inputs : iterable of torch.Tensor
        Where the search stops.
    """
    seen: set[Any] = {None, *(tensor.grad_fn for tensor in inputs)}
    waiting: list[Any] = [tensor.grad_fn for tensor in outputs if tensor.grad_fn not in seen]
    seen.update(waiting)
    while waiting:
        node = waiting.pop()
        if not (type(node) in _LINEAR_CLASSES or _is_explained(node, explained_by) or is_linear(node)):
            return node
        for edge, _ in node.next_functions:
            if edge not in seen:
                seen.add(edge)
                waiting.append(edge)
    return None


def require_path(outputs: Tensor, inputs: Iterable[Tensor] | None = None) -> None:
    """Raise UnsupportedOperation unless autograd's graph leads from `outputs` to the input.

    Parameters
    ----------
    outputs : torch.Tensor
        What is explained.
    inputs : iterable of torch.Tensor, optional
        The tensors to one of which it has to lead; None where nothing but the input can have a gradient.
    """
    if not outputs.requires_grad or (inputs is not None and not _leads_to(outputs, inputs)):
        raise UnsupportedOperation(
            "the explained output does not depend on the sequence through differentiable operations: "
            "look for torch.no_grad(), detach(), Variable(X) or integer conversion in forward."
        )


def _leads_to(outputs: Tensor, inputs: Iterable[Tensor]) -> bool:
    """Return whether autograd's graph has a path from `outputs` to any of `inputs`."""
    ends, seen = _nodes_of(inputs), _nodes_of([outputs])
    waiting = list(seen)
    while waiting:
        node = waiting.pop()
        if node in ends:
            return True
        for edge, _ in node.next_functions:
            if edge is not None and edge not in seen:
                seen.add(edge)
                waiting.append(edge)
    return False


def _nodes_of(tensors: Iterable[Tensor]) -> set[Any]:
    """Return the nodes at which the gradients of tensors arrive: a leaf has one of its own."""
    with torch._C.DisableTorchFunction():  # a subclass of Tensor would put another node in between
        return {get_gradient_edge(one).node for one in tensors if one.requires_grad}


def _is_explained(node: Any, explained_by: Collection[Any]) -> bool:
    function = getattr(type(node), "_forward_cls", None)
    return function in explained_by or function in _IN_PYTHON


def find_nonlinear(outputs: Iterable[Tensor], inputs: Iterable[Tensor]) -> Any:
    """Return a node between `inputs` and `outputs` that is not linear in what depends on `inputs`, or None.

    Unlike :func:`find_unexplained`, where parameters may require gradients, too.
    """
    known: dict[Any, bool] = dict.fromkeys(_nodes_of(inputs), True)
    between: list[Any] = []
    waiting = [one.grad_fn for one in outputs if one.grad_fn is not None]
    while waiting:  # each node after those that it leads to
        node = waiting[-1]
        rest = [one for one, _ in node.next_functions if one is not None and one not in known]
        if node not in known and rest:
            waiting.extend(rest)
            continue
        waiting.pop()
        if node not in known:
            known[node] = any(known[one] for one, _ in node.next_functions if one is not None)
            if known[node]:
                between.append(node)
    return next((one for one in between if not _is_linear_in_known(one, known)), None)


def _is_linear_in_known(node: Any, known: Mapping[Any, bool]) -> bool:
    """Return whether a node is linear in those of its operands that are known to lead to the input."""
    kind = _kind(node.name())
    if isinstance(kind, bool):
        return kind
    return _is_linear_in(kind, node, [edge is not None and known[edge] for edge, _ in node.next_functions])
