"""Which operations share a row in the picture of the study by operation, and in which order rows are."""

from __future__ import annotations

import re

from seqlight.attribution.rules import table

# Other names of one operation.
ALIASES = {
    **dict.fromkeys("multiply __mul__ __rmul__".split(), "mul"),
    **dict.fromkeys("divide true_divide __truediv__ __div__ __rdiv__ __rtruediv__".split(), "div"),
    **dict.fromkeys("matmul __matmul__ __rmatmul__ bmm mm mv chain_matmul".split(), "matmul"),
    **dict.fromkeys("addmm addmv addbmm baddbmm addr".split(), "addmm"),
    **dict.fromkeys("dot vdot inner".split(), "inner"),
    **dict.fromkeys("float_power __pow__ __rpow__".split(), "pow"),
    **dict.fromkeys("__mod__ __rmod__ fmod".split(), "remainder"),
    **dict.fromkeys("gt lt ge le eq ne greater less greater_equal less_equal not_equal".split(), "comparisons"),
    **dict.fromkeys("__gt__ __lt__ __ge__ __le__ __eq__ __ne__".split(), "comparisons"),
    **dict.fromkeys("igamma igammac gammainc gammaincc".split(), "igamma"),
    **dict.fromkeys("lgamma gammaln mvlgamma multigammaln".split(), "lgamma"),
    **dict.fromkeys("digamma psi polygamma".split(), "digamma"),
    **dict.fromkeys("erf erfc erfcx erfinv".split(), "erf"),
    **dict.fromkeys("ndtr ndtri log_ndtr".split(), "ndtr"),
    **dict.fromkeys("exp exp2 expm1".split(), "exp"),
    **dict.fromkeys("log log2 log10 log1p".split(), "log"),
    **dict.fromkeys("i0 i0e i1 i1e airy_ai".split(), "i0, i1, airy_ai"),
    **dict.fromkeys("floor ceil round trunc fix".split(), "floor, ceil, round"),
    **dict.fromkeys("sign sgn heaviside".split(), "sign, heaviside"),
    **dict.fromkeys("var std var_mean std_mean".split(), "var, std"),
    **dict.fromkeys("amax amin aminmax max min".split(), "max, min"),
    **dict.fromkeys("cummax cummin".split(), "cummax"),
    **dict.fromkeys("sort msort".split(), "sort"),
    **dict.fromkeys("median nanmedian kthvalue quantile nanquantile".split(), "median, quantile"),
    **dict.fromkeys("cdist pdist dist pairwise_distance".split(), "cdist"),
    **dict.fromkeys("norm vector_norm linalg_norm".split(), "norm"),
    **dict.fromkeys("maximum fmax".split(), "maximum"),
    **dict.fromkeys("minimum fmin".split(), "minimum"),
    **dict.fromkeys("clamp clip clamp_min clamp_max".split(), "clamp"),
    **dict.fromkeys("absolute __abs__".split(), "abs"),
    **dict.fromkeys("outer ger kron".split(), "outer, kron"),
    **dict.fromkeys("einsum tensordot".split(), "einsum"),
    **dict.fromkeys("unbind __iter__".split(), "unbind"),
    **dict.fromkeys("pixel_shuffle pixel_unshuffle channel_shuffle".split(), "shuffles of channels"),
    **dict.fromkeys("fold unfold flatten unflatten identity".split(), "fold, flatten"),
    **dict.fromkeys("upsample upsampling_nearest2d upsampling_bilinear2d".split(), "upsample"),
    **dict.fromkeys("transformer_encoder transformer_encoder_layer".split(), "transformer_encoder"),
    **dict.fromkeys("transformer_decoder transformer_decoder_layer transformer".split(), "transformer_decoder"),
    **dict.fromkeys("rnn_tanh rnn_tanh_cell".split(), "rnn, tanh"),
    **dict.fromkeys("rnn_relu rnn_relu_cell".split(), "rnn, relu"),
    "triplet_margin_with_distance_loss": "triplet_margin_loss",
    "__floordiv__": "floor_divide",
    "arctan2": "atan2",
    "expit": "sigmoid",
    "logaddexp2": "logaddexp",
    "setitem": "masked_fill",
    "xlog1py": "xlogy",
    "multi_head_attention_forward": "multi-head attention",
    "scaled_dot_product_attention": "dot-product attention",
    "binary_cross_entropy_with_logits": "binary_cross_entropy",
    "cross_entropy_loss": "cross_entropy",
    "adaptive_log_softmax_with_loss": "adaptive softmax",
}
POOLING = "max_pool adaptive_max_pool fractional_max_pool max_unpool lp_pool avg_pool adaptive_avg_pool".split()
ATTENTION = ("multi-head attention", "dot-product attention", "transformer_encoder", "transformer_decoder")
RECURRENT = ("lstm", "gru", "rnn, tanh", "rnn, relu")
NORMS = "softmax log_softmax softmin logsumexp layer_norm rms_norm group_norm instance_norm batch_norm normalize cdist"
NORMS += " local_response_norm renorm cosine_similarity prod cumprod glu"
# In the order of the picture.
GROUPS = (
    "activations",
    "softmax, norms, statistics",
    "pooling and order",
    "attention and recurrent networks",
    "linear, one operand",
    "products, convolutions",
    "two operands",
    "functions of one number",
    "losses",
)


def family(operation: str) -> str:
    """Return the row of an operation.

    >>> family("arcsin"), family("max_pool3d_with_indices"), family("zero_pad2d"), family("hermite_polynomial_he")
    ('asin', 'max_pool', 'padding', 'orthogonal polynomials')
    """
    name = operation.removesuffix("_with_indices")
    name = re.sub(r"^arc(?=sin|cos|tan)", "a", name)
    if "polynomial" in name:
        return "orthogonal polynomials"
    if "bessel" in name:
        return "Bessel functions"
    if "_pad" in name:
        return "padding"
    if "dropout" in name:
        return "dropout"
    name = re.sub(r"(?<!atan)\dd?$" if name.endswith("d") else r"$^", "", name)
    name = re.sub(r"_cell$", "", name) if name in ("lstm_cell", "gru_cell") else name
    return ALIASES.get(name, ALIASES.get(operation, name))


def group(row: str, operation: str) -> str:
    """Return the group of a row, by one of its operations."""
    if row.endswith("_loss") or row in ("kl_div", "cross_entropy", "binary_cross_entropy", "adaptive softmax"):
        return "losses"
    if row in POOLING or row in ("max, min", "sort", "topk", "median, quantile", "mode", "cummax"):
        return "pooling and order"
    if row in ATTENTION + RECURRENT:
        return "attention and recurrent networks"
    if row in NORMS.split() or row in ("var, std", "norm"):
        return "softmax, norms, statistics"
    if operation in table.PRODUCTS or row in ("unbind",):
        return "products, convolutions"
    if (row in table.ELEMENTWISE and _is_activation(row)) or row == "prelu":
        return "activations"
    if operation in table.ELEMENTWISE or row in ("orthogonal polynomials", "sign, heaviside"):
        return "functions of one number"
    if operation in table.BINARY or row in ("comparisons", "remainder", "zeta", "igamma", "polar", "addcdiv"):
        return "two operands"
    return "linear, one operand"


def _is_activation(name: str) -> bool:
    from torch import nn

    modules = {one.lower() for one in dir(nn)}
    return name.replace("_", "") in modules
