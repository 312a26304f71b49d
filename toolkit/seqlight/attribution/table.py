"""Which operation is explained by which rule, however it is spelled, and what is known to be linear.

One operation has many spellings: ``nn.ReLU`` arrives as ``F.relu``, others write ``torch.relu``,
``x.relu()`` or ``x.relu_()``. So the table is written by name and expanded to all functions of
that name. What it does not name reaches autograd as it is, where each node must be linear.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.rules import MaxPool, Rescale, Rule

UNARY = """
relu relu6 rrelu leaky_relu elu selu celu gelu silu mish sigmoid logsigmoid tanh softplus softsign
tanhshrink hardtanh hardsigmoid hardswish hardshrink softshrink threshold prelu
exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square abs absolute reciprocal
sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sinc
arcsin arccos arctan arcsinh arccosh arctanh
erf erfc erfinv lgamma digamma logit expit ndtr log_ndtr i0 i0e i1 i1e entr erfcx gammaln psi
clamp clip clamp_min clamp_max nan_to_num frac floor ceil round trunc fix sign sgn __abs__ __rdiv__ __rtruediv__
masked_fill
""".split()
# One operand may depend on the input. Those marked divide are linear in the first operand.
BINARY = "pow float_power __pow__ __rpow__ maximum minimum fmax fmin xlogy xlog1py atan2 arctan2 hypot where".split()
DIVISIONS = "div divide true_divide __truediv__ __div__".split()
# Derivatives that are cheaper than to ask autograd, from input and output.
SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda x, y: (x > 0).to(x.dtype),
    "sigmoid": lambda x, y: y * (1 - y),
    "tanh": lambda x, y: 1 - y * y,
    "exp": lambda x, y: y.clone(),
}
IN_PLACE = {"__ipow__": "pow", "__itruediv__": "div", "__idiv__": "div"}

# In-place calls on a view hide behind one node of autograd, so they are judged by name.
LINEAR_IN_PLACE = frozenset(
    """
    add_ sub_ subtract_ neg_ negative_ copy_ zero_ fill_ __iadd__ __isub__ index_add_ index_copy_ index_fill_ index_put_
    scatter_ scatter_add_ masked_scatter_ squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_ as_strided_ detach_
    requires_grad_ retain_grad_ tril_ triu_ cumsum_ resize_ resize_as_ set_ dropout_ alpha_dropout_ feature_dropout_
    conj_physical_ deg2rad_ rad2deg_
    """.split()
)
PRODUCT_IN_PLACE = frozenset(
    "mul_ multiply_ __imul__ addcmul_ addcdiv_ addmm_ addmv_ addbmm_ baddbmm_ addr_ lerp_".split()
)

# Nodes of autograd, without their number, that are linear as long as one operand depends on the input.
LINEAR = frozenset(
    """
    Add Sub Rsub Neg Mul Div Addmm Addmv Addr Addbmm Baddbmm Bmm Mm Mv Dot Vdot Ger Linear Addcmul Addcdiv Lerp
    Convolution ConvolutionOverrideable MkldnnConvolution CudnnConvolution MiopenConvolution MpsConvolution
    SlowConv2D SlowConv3D SlowConvDilated2D SlowConvDilated3D SlowConvTranspose2D SlowConvTranspose3D ConvTbc
    NativeBatchNorm CudnnBatchNorm MiopenBatchNorm BatchNormWithUpdate
    Sum Nansum Mean Cumsum Trace Diff Logcumsum
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
    FftR2C FftC2C FftC2R Real Imag ViewAsReal ViewAsComplex Conj ConjPhysical ResolveConj ResolveNeg Complex
    AccumulateGrad Deg2Rad Rad2Deg Trapezoid Kron Tensordot Positive
    """.split()
)


@dataclass(frozen=True)
class Entry:
    """How calls of one function are met.

    Parameters
    ----------
    name : str
        The operation's name, the same for all spellings.
    rule : Rule
        What explains it.
    function : callable
        The function to call on plain tensors; of an in-place spelling the one that is not.
    in_place : bool
        Whether the function itself writes to its first argument.
    linear_in_first : bool
        Whether it is linear where only its first argument depends on the input.
    pools : bool
        Whether it is a pooling that can also return where its maxima are.
    """

    name: str
    rule: Rule
    function: Callable[..., Any]
    in_place: bool = False
    linear_in_first: bool = False
    pools: bool = False


@cache
def rules() -> dict[Any, Entry]:
    """Return the entry of each function that has one, by the function that PyTorch reports."""
    table: dict[Any, Entry] = {}
    for name in (*UNARY, *BINARY, *DIVISIONS):
        rescale = Rescale(SLOPES.get(name))
        for function in spellings(name):
            table[function] = Entry(name, rescale, function, linear_in_first=name in DIVISIONS)
        for function in spellings(name + "_"):
            table[function] = Entry(name, rescale, _plain_twin(name), True, name in DIVISIONS)
    for spelled, name in IN_PLACE.items():
        table[getattr(Tensor, spelled)] = Entry(name, Rescale(), getattr(torch, name), True, name in DIVISIONS)
    for n in (1, 2, 3):
        name = f"max_pool{n}d"
        with_indices = getattr(F, f"{name}_with_indices")
        for function in {*spellings(name), with_indices}:
            table[function] = Entry(name, MaxPool(n), with_indices, pools=True)
    return table


def spellings(name: str) -> list[Any]:
    """Return all functions of PyTorch that bear `name`."""
    homes: tuple[Any, ...] = (torch, F, Tensor, torch.special)
    found = [getattr(home, name) for home in homes if hasattr(home, name)]
    return [function for function in found if callable(function) and not isinstance(function, types.ModuleType)]


def is_linear(node: Any) -> bool:
    """Return whether a node of the autograd graph is linear in what depends on the input."""
    name = operation_of(node)
    if name not in LINEAR:
        return False
    if getattr(node, "_saved_training", False):  # batch statistics depend on all rows
        return False
    live = [edge for edge, _ in node.next_functions if edge is not None]
    if name in ("Mul", "Div", "Mm", "Bmm", "Mv", "Dot", "Vdot", "Ger", "Linear", "Kron", "Convolution", "Lerp"):
        return len(live) < 2
    if name in ("Addmm", "Addmv", "Addr", "Addbmm", "Baddbmm", "Addcmul", "Addcdiv"):
        factors = node.next_functions[1:]
        return sum(edge is not None for edge, _ in factors) < 2
    return True


def operation_of(node: Any) -> str:
    """Return the name of a node without what autograd adds: ``MulBackward0`` gives ``Mul``."""
    return str(node.name()).rsplit("::", 1)[-1].rstrip("0123456789").removesuffix("Backward").removesuffix("Backwards")


def hides_in_place(function: Any, live: int) -> bool:
    """Return whether a function writes to its argument in a way that is not linear, and has no rule.

    Parameters
    ----------
    function : callable
        As PyTorch reports it, not in the table.
    live : int
        How many of its tensors depend on the input.
    """
    name = getattr(function, "__name__", "")
    writes = name.endswith("_") and (not name.endswith("__") or name.startswith("__i"))
    if not writes or not live or name in ("__init__", "__index__", "__int__", "__invert__"):
        return False
    return name not in LINEAR_IN_PLACE and not (name in PRODUCT_IN_PLACE and live == 1)


def _plain_twin(name: str) -> Any:
    for home in (torch, F, Tensor, torch.special):
        if hasattr(home, name):
            return getattr(home, name)
    raise AssertionError(f"{name}_ has no twin that is not in place")
