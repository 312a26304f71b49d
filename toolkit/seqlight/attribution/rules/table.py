"""The rule of each operation of PyTorch, by its name. New rules are entered here.

To add an elementwise function, an activation say, enter its name in ELEMENTWISE: ``Rescale()`` is all it needs. A name
stands for all functions that bear it, in place or not (see ``operation_names.spellings``). An operation that is
not in the table is left to autograd where it is linear, and integrated numerically where it is not.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from seqlight.attribution.calls.call import Function, Rule
from seqlight.attribution.calls.function_bodies import open_body
from seqlight.attribution.kernels.table import OPERATIONS
from seqlight.attribution.rules import (
    attention,
    cells,
    comparisons,
    decompositions,
    layer_norm,
    losses,
    norms,
    recurrence,
    recurrent,
    reductions,
    smooth_activations,
    softmax,
    sorting,
    special_functions,
)
from seqlight.attribution.rules.atan2 import Atan2
from seqlight.attribution.rules.comparisons import Compare
from seqlight.attribution.rules.constants import Hold
from seqlight.attribution.rules.elementwise import Rescale, Rounding
from seqlight.attribution.rules.indicators import choice
from seqlight.attribution.rules.numerical_integration import Integrated
from seqlight.attribution.rules.operation_names import IN_PLACE_OPERATORS, spellings
from seqlight.attribution.rules.order_statistics import Mode, Selection, crossing_value, larger_maximum
from seqlight.attribution.rules.pooling import FRACTIONAL_MAXIMA, MaxPool, fractional_max_pool
from seqlight.attribution.rules.product import Product, matrix_vjp, product_vjp
from seqlight.attribution.rules.quotient import Quotient, quotient
from seqlight.attribution.rules.running_logsumexp import RunningLogSumExp, logcumsumexp, running_logsumexp_over_last
from seqlight.attribution.rules.smooth_activations import SmoothActivation
from seqlight.attribution.rules.softmax import Softmax
from seqlight.attribution.rules.special_functions import (
    exp_slope,
    no_slope,
    relu_secant,
    relu_slope,
    relu_vjp,
    sigmoid_slope,
    tanh_slope,
)
from seqlight.attribution.rules.switch import Switch
from seqlight.attribution.rules.table_entry import Entry, Treatment
from seqlight.attribution.rules.unpooling import Unpool, max_unpool, put
from seqlight.attribution.rules.where import Choose, condition, greater_or_equal, less_or_equal
from seqlight.targets.constant_parts import hold

T = TypeVar("T")


def each(names: str, treatment: T) -> dict[str, T]:
    """Return the treatment for each of these names."""
    return dict.fromkeys(names.split(), treatment)


def named(names: str, module: ModuleType) -> dict[str, Function]:
    """Return the functions of these names in a module."""
    return {name: getattr(module, name) for name in names.split()}


# Whose outputs are not rounded: each is an input, another given number, or a constant.
EXACT = Rescale(rounding=Rounding.NONE)
# Which may fill in infinity.
MASK = Rescale(infinite=True, rounding=Rounding.NONE)
STEP = Rescale(no_slope, rounding=Rounding.NONE)
INTEGRATED = Integrated()

# Functions of one tensor, element by element: the multiplier is the secant. If parameters depend on the input too, they
# are integrated.
ELEMENTWISE: dict[str, Rule] = {
    "relu": Rescale(relu_slope, False, "elementwise.relu_vjp", Rounding.NONE, relu_secant, relu_vjp),
    "gelu": SmoothActivation(rounding=Rounding.INPUT, kind=smooth_activations.gelu),
    "silu": SmoothActivation(kind=smooth_activations.silu),
    "sigmoid": SmoothActivation(sigmoid_slope, kind=smooth_activations.sigmoid),
    "expit": SmoothActivation(kind=smooth_activations.sigmoid),
    "tanh": Rescale(tanh_slope),
    "exp": Rescale(exp_slope),
    "tanhshrink": Rescale(rounding=Rounding.INPUT),
    **each("relu6 threshold hardtanh hardshrink", EXACT),
    **each("rrelu leaky_relu elu selu celu mish softplus softsign logsigmoid", Rescale()),
    **each("hardsigmoid hardswish softshrink", Rescale()),
    **each("abs absolute __abs__ nan_to_num frac floor ceil round trunc fix sign sgn", EXACT),
    **each("exp2 expm1 log log2 log10 log1p sqrt rsqrt square reciprocal angle", Rescale()),
    **each("sin cos tan asin acos atan sinh cosh asinh acosh atanh sinc", Rescale()),
    **each("arcsin arccos arctan arcsinh arccosh arctanh", Rescale()),
    **each("erf erfc erfcx erfinv ndtr ndtri log_ndtr logit entr i0 i0e i1 i1e airy_ai", Rescale()),
    **each("lgamma gammaln digamma psi polygamma multigammaln mvlgamma", Rescale()),
    **each("bessel_j0 bessel_j1 bessel_y0 bessel_y1 spherical_bessel_j0", Rescale()),
    **each("modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1", Rescale()),
    **each("scaled_modified_bessel_k0 scaled_modified_bessel_k1", Rescale()),
}

# Of a number and a degree, which may be a tensor, too.
POLYNOMIALS = """
    chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w
    shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u
    shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w
    hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p
"""

# Functions of two tensors, element by element: what explains them where one depends on the input, and where both do.
BINARY: dict[str, tuple[Treatment, Treatment]] = {
    **each("maximum fmax clamp_min", (EXACT, Choose(greater_or_equal))),
    **each("minimum fmin clamp_max", (EXACT, Choose(less_or_equal))),
    **each("clamp clip", (EXACT, decompositions.clamp)),
    "where": (MASK, Choose(condition)),
    "masked_fill": (MASK, decompositions.masked_fill),
    "copysign": (EXACT, decompositions.copysign),
    **each(POLYNOMIALS, (Rescale(), INTEGRATED)),
    **each("div divide true_divide __truediv__ __div__", (Rescale(), decompositions.div)),
    **each("__rdiv__ __rtruediv__", (Rescale(), decompositions.reversed_div)),
    **each("floor_divide __floordiv__", (STEP, decompositions.floor_divide)),
    "heaviside": (STEP, decompositions.heaviside),
    **each("pow float_power __pow__ __rpow__ xlog1py logaddexp2", (Rescale(), INTEGRATED)),
    **each("atan2 arctan2", (Rescale(), Atan2())),
    "logaddexp": (Rescale(), decompositions.logaddexp),
    "hypot": (Rescale(), decompositions.hypot),
    "xlogy": (Rescale(), decompositions.xlogy),
}
DIVISIONS = frozenset("div divide true_divide __truediv__ __div__".split())  # linear in the first operand

# Linear as long as one operand depends on the input; of several, the Jacobian half way.
PRODUCTS: dict[str, Rule] = {
    **each("mul multiply __mul__ __rmul__", Product(product_vjp)),
    **each("matmul __matmul__ bmm mm", Product(matrix_vjp)),
    **each("__rmatmul__ mv dot vdot inner outer ger chain_matmul einsum tensordot kron cross bilinear", Product()),
    **each("baddbmm addmm addbmm addmv addr addcmul lerp linear", Product()),
    **each("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution", Product()),
}

# Written in simpler operations, which have rules.
DECOMPOSED: dict[str, Function] = {
    **named("softmax log_softmax logsumexp", softmax),
    **named("layer_norm rms_norm group_norm instance_norm", layer_norm),
    **named("scaled_dot_product_attention", attention),
    **named("polar glu addcdiv prod cumprod var std var_mean std_mean", decompositions),
    **named("vector_norm cdist pdist dist pairwise_distance cosine_similarity renorm", norms),
    **named("sort msort topk kthvalue median nanmedian quantile nanquantile cummax cummin aminmax mode", sorting),
    **named("fmod remainder zeta", special_functions),
    **named("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell", recurrent),
    **named("amax amin", reductions),
    "logcumsumexp": logcumsumexp,
    "max": reductions.max_,
    "min": reductions.min_,
    "__mod__": special_functions.remainder,
    "__rmod__": special_functions.reversed_remainder,
    **each("igamma gammainc", special_functions.igamma),
    **each("igammac gammaincc", special_functions.igammac),
    **{f"max_unpool{n}d": max_unpool(n) for n in (1, 2, 3)},
    **{f"fractional_max_pool{n}d": fractional_max_pool(n, False) for n in (2, 3)},
    **{f"fractional_max_pool{n}d_with_indices": fractional_max_pool(n, True) for n in (2, 3)},
    **each("dropout alpha_dropout feature_dropout feature_alpha_dropout", decompositions.dropout),
    **each("dropout1d dropout2d dropout3d", decompositions.dropout),
}
# Calls that mostly are one operation of ours: what returns that, and its arguments, without writing them out.
FUSED: dict[str, Function] = {
    "layer_norm": layer_norm.fused_layer_norm,
    "softmax": softmax.fused_softmax,
    "scaled_dot_product_attention": attention.fused_attention,
    **each("abs absolute __abs__", decompositions.fused_abs),
    "angle": decompositions.fused_angle,
    **{f"{kind}_cell": recurrent.fused_cell(kind) for kind in recurrence.KINDS},
}

# Functions that PyTorch itself has written in Python, out of operations that have rules.
WRITTEN_IN_PYTHON = (
    *(F.multi_head_attention_forward, F.normalize, F.local_response_norm, F.lp_pool1d, F.lp_pool2d, F.lp_pool3d),
    *(F.softmin, F.instance_norm, torch.norm, Tensor.norm),
    *(F.l1_loss, F.mse_loss, F.smooth_l1_loss, F.huber_loss, F.soft_margin_loss, F.kl_div, F.cross_entropy),
    *(F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.poisson_nll_loss, F.gaussian_nll_loss),
    *(F.hinge_embedding_loss, F.margin_ranking_loss, F.cosine_embedding_loss, F.multi_margin_loss),
    *(F.triplet_margin_loss, F.triplet_margin_with_distance_loss, F.multilabel_margin_loss),
    F.multilabel_soft_margin_loss,
)
# The losses that these call, which PyTorch has written in C++; ours are in losses.py.
LOSSES: tuple[Function, ...] = (
    *(torch._C._nn.l1_loss, torch._C._nn.mse_loss, torch._C._nn.smooth_l1_loss, torch._C._nn.huber_loss),
    *(torch._C._nn.soft_margin_loss, torch._C._nn.binary_cross_entropy, torch._C._nn.cross_entropy_loss),
    *(torch._C._nn.multi_margin_loss, torch._C._nn.multilabel_margin_loss, torch.kl_div, torch.poisson_nll_loss),
    *(torch.binary_cross_entropy_with_logits, torch.hinge_embedding_loss, torch.margin_ranking_loss),
    *(torch.cosine_embedding_loss, torch.triplet_margin_loss),
)

# Operations of our own, which the decompositions call.
OURS = (
    *(Entry(kind, getattr(softmax, f"{kind}_over"), Softmax(kind)) for kind in ("softmax", "log_softmax", "logsumexp")),
    Entry("running logsumexp", running_logsumexp_over_last, RunningLogSumExp()),
    Entry("elementwise", special_functions.elementwise, Rescale()),
    Entry("slopeless", special_functions.slopeless, Rescale(no_slope)),
    Entry("sort", sorting.sorted_over_last, Selection(crossing_value)),
    Entry("cummax", sorting.running_max_over_last, Selection(larger_maximum)),
    Entry("mode", sorting.mode_over_last, Mode()),
    Entry("standardise", layer_norm.layer_norm_over_last, layer_norm.LayerNorm()),
    Entry("attention", attention.attend, attention.Attention(), attention.Attention()),
    Entry("max", reductions.max_over_last, MaxPool(1), indices=True),
    *(Entry(f"fractional_max_pool{n}d", maxima, MaxPool(n), indices=True) for n, maxima in FRACTIONAL_MAXIMA.items()),
    Entry("recurrence", recurrence.recur, recurrence.Recurrence(), recurrence.Recurrence()),
    Entry("cell", cells.next_states, cells.Cell(), cells.Cell()),
    Entry("quotient", quotient, Rescale(), Quotient(), broadcasts=True, linear_in=0),
    Entry("hold", hold, Hold()),
    Entry("choice", choice, Switch(), Switch(), broadcasts=True),
    Entry("max_unpool", put, Unpool(), Unpool()),
)


@cache
def rules() -> dict[Any, Entry]:
    """Return the entry of each function that has one, by the function that PyTorch reports."""
    table: dict[Any, Entry] = {}

    def enter(name: str, one_operand: Treatment, several_operands: Treatment = None, **more: Any) -> None:
        more |= {"kernel": OPERATIONS.get(name), "fused": FUSED.get(name)}
        for function in spellings(name):
            table[function] = Entry(name, function, one_operand, several_operands, **more)
        for function in spellings(name + "_"):
            # The method of an in-place method: another function of its name may take its arguments in another order.
            plain = getattr(Tensor, name, None) if function is getattr(Tensor, name + "_", None) else None
            table[function] = Entry(
                name, plain or spellings(name)[0], one_operand, several_operands, in_place=True, **more
            )

    for name, rule in ELEMENTWISE.items():
        enter(name, rule, INTEGRATED)
    enter("prelu", Rescale(), decompositions.prelu)
    for name, (one_operand, several_operands) in BINARY.items():
        enter(name, one_operand, several_operands, broadcasts=True, linear_in=0 if name in DIVISIONS else None)
    for name, rule in PRODUCTS.items():
        enter(name, None, rule)
    for name in OPERATIONS.keys() - PRODUCTS.keys():  # linear in all that they take
        enter(name, None)
    for name, treatment in DECOMPOSED.items():
        enter(name, treatment, treatment)
    for operator, name in IN_PLACE_OPERATORS.items():
        if hasattr(Tensor, operator):
            one = table[getattr(torch, name)]
            table[getattr(Tensor, operator)] = Entry(
                name, one.function, one.one_operand, one.several_operands, True, one.linear_in, one.broadcasts
            )
    # As relu may be written: ``h[h < 0] = 0``. Any other assignment is linear.
    table[Tensor.__setitem__] = Entry("setitem", Tensor.__setitem__, None, fused=decompositions.fused_setitem)
    bodies = [(function, open_body(function)) for function in WRITTEN_IN_PYTHON]
    bodies.append((torch.linalg.norm, norms.linalg_norm))
    for function, body in [*bodies, *((loss, getattr(losses, loss.__name__)) for loss in LOSSES)]:
        table[function] = Entry(function.__name__, function, body, body)
    return table | {entry.function: entry for entry in OURS} | _poolings()


@cache
def compared() -> dict[Any, Entry]:
    """Return the entry of each comparison: they explain nothing, but how they come out counts."""
    found = ((name, function) for name in comparisons.NAMES for function in spellings(name))
    return {function: Entry(name, function, Compare(), Compare(), hides=True) for name, function in found}


@cache
def hiding() -> dict[Any, Entry]:
    """Return the entry of each function that hides from autograd that its result depends on what it takes."""
    data: Any = Tensor.data.__get__  # type: ignore[attr-defined]
    named = {function: name for name in ("detach", "argmax", "argmin") for function in spellings(name)}
    named |= {Tensor.detach_: "detach", data: "data", torch._C._set_grad_enabled: "no_grad"}
    ranking = {function: replace(rules()[function], hides=True) for function in spellings("topk")}
    return compared() | ranking | {one: Entry(name, one, None, hides=True) for one, name in named.items()}


def _poolings() -> dict[Any, Entry]:
    table: dict[Any, Entry] = {}
    for name in ("max_pool", "adaptive_max_pool"):
        for n in (1, 2, 3):
            with_indices = getattr(F, f"{name}{n}d_with_indices")
            for function in spellings(f"{name}{n}d"):
                # torch.adaptive_max_pool1d and the like always return both.
                both = True if name.startswith("adaptive") and function is not getattr(F, f"{name}{n}d") else None
                table[function] = Entry(f"{name}{n}d", with_indices, MaxPool(n), indices=both)
            for function in (with_indices, *spellings(f"{name}{n}d_with_indices")):
                table[function] = Entry(f"{name}{n}d", with_indices, MaxPool(n), indices=True)
    return table
