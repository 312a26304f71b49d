"""The names of PyTorch's operations, sorted by what explains them.

One operation has many spellings: ``nn.ReLU`` arrives as ``F.relu``, others write ``torch.relu``,
``x.relu()`` or ``x.relu_()``. So all of this is written by name.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call, Function, Rule
from seqlight.attribution.kernels import convolution, linear, unbind
from seqlight.attribution.kernels import elementwise as loops
from seqlight.attribution.rules import (
    activations,
    decompositions,
    distances,
    fused,
    recurrent,
    reductions,
    sorting,
    special_functions,
)
from seqlight.attribution.rules.atan2 import Angle
from seqlight.attribution.rules.elementwise import Rounding
from seqlight.attribution.rules.fractional_pooling import fractional_max_pool
from seqlight.attribution.rules.integrated import Integrated
from seqlight.attribution.rules.unpooling import max_unpool
from seqlight.attribution.rules.where import Choose, by_condition, larger, smaller

UNARY = """
relu relu6 rrelu leaky_relu elu selu celu gelu silu mish sigmoid logsigmoid tanh softplus softsign
tanhshrink hardtanh hardsigmoid hardswish hardshrink softshrink threshold prelu
exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square abs absolute reciprocal
sin cos tan asin acos atan sinh cosh asinh acosh atanh sinc
arcsin arccos arctan arcsinh arccosh arctanh
erf erfc erfinv lgamma digamma logit expit ndtr log_ndtr i0 i0e i1 i1e entr erfcx gammaln psi polygamma
nan_to_num frac floor ceil round trunc fix sign sgn angle __abs__ __rdiv__ __rtruediv__
ndtri multigammaln mvlgamma airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 spherical_bessel_j0
modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1
scaled_modified_bessel_k0 scaled_modified_bessel_k1
chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w
shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u
shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w
hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p
""".split()
# One operand depends on the input; what to do where several do.
BINARY: dict[str, Function | Rule | None] = {
    **dict.fromkeys("maximum fmax".split(), Choose(larger)),
    **dict.fromkeys("minimum fmin".split(), Choose(smaller)),
    **dict.fromkeys("pow float_power __pow__ __rpow__ xlog1py".split(), Integrated()),
    **dict.fromkeys("atan2 arctan2".split(), Angle()),
    **dict.fromkeys("copysign logaddexp2".split(), Integrated()),
    "where": Choose(by_condition),
    "masked_fill": decompositions.masked_fill,
    **dict.fromkeys("clamp clip".split(), decompositions.clamp),
    "clamp_min": Choose(larger),
    "clamp_max": Choose(smaller),
    "logaddexp": decompositions.logaddexp,
    "hypot": decompositions.hypot,
    "xlogy": decompositions.xlogy,
}
DIVISIONS = "div divide true_divide __truediv__ __div__".split()
# Linear as long as one operand depends on the input.
PRODUCTS = """
mul multiply __mul__ __rmul__ matmul __matmul__ __rmatmul__ bmm mm mv dot vdot inner outer ger chain_matmul einsum
tensordot kron cross bilinear baddbmm addmm addbmm addmv addr addcmul lerp linear
conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution
""".split()
# Derivatives that are cheaper than to ask autograd, from input and output.
SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda x, y: (x > 0).to(x.dtype),
    "sigmoid": lambda x, y: y * torch.sigmoid(-x),
    "tanh": special_functions.slope_of_tanh,
    "exp": lambda x, y: y.clone(),
}
# Each output is its input, another number that is given, or a constant.
EXACT = frozenset(
    """
    relu relu6 threshold hardtanh hardshrink abs absolute __abs__ nan_to_num frac floor ceil round trunc fix sign sgn
    maximum fmax minimum fmin where masked_fill clamp clip clamp_min clamp_max copysign
    """.split()
)
# Smooth functions that the loops know.
SMOOTH: dict[str, Callable[[Call], activations.Activation]] = {
    "gelu": activations.gelu,
    "silu": lambda _: activations.Activation.SILU,
    "sigmoid": lambda _: activations.Activation.SIGMOID,
    "expit": lambda _: activations.Activation.SIGMOID,
}
# Operators that take what the functions of their names take.
OF_EQUAL_ARGUMENTS = frozenset({"scaled_dot_product_attention"})
# Outputs that are rounded to the digits of their input.
ROUGH = frozenset({"gelu", "tanhshrink"})
# The multiplier made and used in one pass over memory, on the way back.
LATE: dict[str, Function] = {"relu": loops.relu_gradients}
# The same of products: from the gradient and both operands to the gradients at these.
PULLS: dict[str, Function] = {
    **dict.fromkeys("mul multiply __mul__ __rmul__".split(), lambda g, a, b: (g * b.conj(), g * a.conj())),
    **dict.fromkeys("bmm mm".split(), lambda g, a, b: (g @ b.mH, a.mH @ g)),
    # Of vectors autograd knows more.
    **dict.fromkeys(
        "matmul __matmul__".split(), lambda g, a, b: (g @ b.mH, a.mH @ g) if min(a.ndim, b.ndim) > 1 else None
    ),
}
# The same result and the same gradient, sooner.
KERNELS: dict[str, Function] = {
    "conv1d": convolution.conv1d,
    "conv2d": convolution.conv2d,
    "linear": linear.linear,
}
# The same of what is linear in all that it takes.
REARRANGED: dict[str, Function] = {"unbind": unbind.unbind, "__iter__": unbind.iterated}
# A mask may be made of what it multiplies, as in ``x * (x > 0)``.
GATES = frozenset("mul multiply __mul__ __rmul__".split())
MASKS = ("masked_fill", "where")  # which may fill in infinity
IN_PLACE = {
    "__ipow__": "pow", "__itruediv__": "div", "__idiv__": "div", "__imul__": "mul", "__imod__": "remainder",
    "__ifloordiv__": "floor_divide",
}  # fmt: skip
# Written in simpler operations, in each case.
DECOMPOSED: dict[str, Function] = {
    **{name: getattr(reductions, name) for name in "softmax log_softmax logsumexp amax amin".split()},
    **{name: getattr(decompositions, name) for name in "layer_norm rms_norm group_norm instance_norm".split()},
    **{
        name: getattr(decompositions, name) for name in "glu prod cumprod var std var_mean std_mean vector_norm".split()
    },
    **{name: getattr(decompositions, name) for name in "cosine_similarity pairwise_distance".split()},
    **{name: getattr(distances, name) for name in "cdist pdist dist renorm".split()},
    **{
        name: getattr(sorting, name)
        for name in "sort msort topk kthvalue median nanmedian quantile nanquantile cummax cummin aminmax mode".split()
    },
    **{name: getattr(special_functions, name) for name in ("fmod", "remainder")},
    "__mod__": special_functions.remainder,
    "__rmod__": special_functions.reversed_remainder,
    **dict.fromkeys(["igamma", "gammainc"], special_functions.igamma),
    **dict.fromkeys(["igammac", "gammaincc"], special_functions.igammac),
    "zeta": special_functions.zeta,
    **{f"max_unpool{n}d": max_unpool(n) for n in (1, 2, 3)},
    **{
        f"fractional_max_pool{n}d{suffix}": fractional_max_pool(n, bool(suffix))
        for n in (2, 3)
        for suffix in ("", "_with_indices")
    },
    "rnn_relu": recurrent.rnn_relu,
    "rnn_relu_cell": recurrent.rnn_relu_cell,
    "max": reductions.max_,
    "min": reductions.min_,
    "scaled_dot_product_attention": decompositions.attention,
    **dict.fromkeys(
        "dropout alpha_dropout feature_dropout feature_alpha_dropout dropout1d dropout2d dropout3d".split(),
        decompositions.dropout,
    ),
}
# Which are, mostly, one operation of ours: what that is, and its arguments, without writing them.
FUSED: dict[str, Function] = {
    "layer_norm": fused.layer_norm,
    "scaled_dot_product_attention": fused.attention,
    **dict.fromkeys("abs absolute __abs__".split(), decompositions.magnitude),
    "angle": decompositions.argument,
}
# PyTorch's own, written in Python out of operations that have rules.
OPENED = (
    *(F.multi_head_attention_forward, F.normalize, F.local_response_norm, F.lp_pool1d, F.lp_pool2d, F.lp_pool3d),
    *(F.softmin, F.instance_norm, torch.norm, Tensor.norm),
    *(F.l1_loss, F.mse_loss, F.smooth_l1_loss, F.huber_loss, F.soft_margin_loss, F.kl_div, F.cross_entropy),
    *(F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.poisson_nll_loss, F.gaussian_nll_loss),
    *(F.hinge_embedding_loss, F.margin_ranking_loss, F.cosine_embedding_loss, F.multi_margin_loss),
    *(F.triplet_margin_loss, F.triplet_margin_with_distance_loss, F.multilabel_margin_loss),
    F.multilabel_soft_margin_loss,
)
# What these come down to.
LOSSES: tuple[Function, ...] = (
    *(torch._C._nn.l1_loss, torch._C._nn.mse_loss, torch._C._nn.smooth_l1_loss, torch._C._nn.huber_loss),
    *(torch._C._nn.soft_margin_loss, torch._C._nn.binary_cross_entropy, torch._C._nn.cross_entropy_loss),
    *(torch._C._nn.multi_margin_loss, torch._C._nn.multilabel_margin_loss, torch.kl_div, torch.poisson_nll_loss),
    *(torch.binary_cross_entropy_with_logits, torch.hinge_embedding_loss, torch.margin_ranking_loss),
    *(torch.cosine_embedding_loss, torch.triplet_margin_loss),
)
INTEGRATED = "lstm gru rnn_tanh lstm_cell gru_cell rnn_tanh_cell".split()

# In-place calls on a view hide behind one node of autograd, so they are judged by name.
LINEAR_IN_PLACE = frozenset(
    """
    add_ sub_ subtract_ neg_ negative_ copy_ zero_ fill_ __iadd__ __isub__ index_add_ index_copy_ index_fill_ index_put_
    scatter_ scatter_add_ masked_scatter_ squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_ as_strided_ detach_
    requires_grad_ retain_grad_ tril_ triu_ cumsum_ resize_ resize_as_ set_
    conj_physical_ deg2rad_ rad2deg_
    """.split()
)


def spellings(name: str) -> list[Any]:
    """Return all functions of PyTorch that bear `name`."""
    homes: tuple[Any, ...] = (torch, F, Tensor, torch.special, torch.linalg)
    found = [getattr(home, name) for home in homes if hasattr(home, name)]
    return [function for function in found if callable(function) and not isinstance(function, types.ModuleType)]


@cache
def hides_in_place(function: Any) -> bool:
    """Return whether a function that is not in the table writes to its argument in a way that is not linear."""
    name = getattr(function, "__name__", "")
    writes = name.endswith("_") and (not name.endswith("__") or name.startswith("__i"))
    if not writes or name in ("__init__", "__index__", "__int__", "__invert__"):
        return False
    return name not in LINEAR_IN_PLACE


def rounding(name: str) -> Rounding:
    """Return what the outputs of the operation of this name are rounded by."""
    return Rounding.NONE if name in EXACT else Rounding.INPUT if name in ROUGH else Rounding.OUTPUT
