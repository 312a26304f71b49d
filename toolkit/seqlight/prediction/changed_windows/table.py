"""Which operation has which rule, by the names of PyTorch's functions; an operation without one is computed in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqlight.prediction.changed_windows import (
    convolutions,
    dense_layers,
    difference_rules,
    layouts,
    pointwise,
    pools,
    reductions,
)
from seqlight.prediction.changed_windows.call import Call

Rule = Callable[[Call], Any]

ELEMENTWISE = """
    relu relu6 elu selu celu gelu silu mish leaky_relu hardtanh hardswish hardsigmoid hardshrink softshrink tanhshrink
    softplus softsign logsigmoid sigmoid tanh threshold exp exp2 expm1 log log1p log2 log10 sqrt rsqrt square pow abs
    neg negative sin cos sinh cosh asinh atan erf erfc expit sign clamp clip clamp_min clamp_max round floor ceil trunc
    reciprocal positive add sub subtract rsub mul multiply div divide true_divide maximum minimum where lerp addcmul
    addcdiv masked_fill nan_to_num gt lt ge le eq ne isnan isinf isfinite logical_and logical_or logical_not
    bitwise_and bitwise_or bitwise_not xlogy logaddexp
    __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ __mul__ __rmul__ __imul__ __truediv__ __rtruediv__ __itruediv__
    __div__ __rdiv__ __idiv__ __pow__ __rpow__ __ipow__ __neg__ __pos__ __abs__ __gt__ __lt__ __ge__ __le__ __eq__
    __ne__ __and__ __or__ __invert__ clone float double half bfloat16 to type_as zeros_like ones_like full_like
    """.split()  # fmt: skip
# Of these, the ones that take differences from the reference where these are known.
ACTIVATIONS = """
    relu relu6 elu selu celu gelu silu mish leaky_relu hardtanh hardswish hardsigmoid softplus softsign sigmoid tanh
    """.split()
SUMS = "add __add__ __radd__ __iadd__ sub subtract __sub__ __isub__".split()
# These may return the same numbers in the same memory, so that who writes to one writes to the other.
VIEWS = frozenset(
    """
    transpose swapaxes swapdims permute unsqueeze squeeze view reshape flatten unflatten mT T detach __getitem__ chunk
    split contiguous float double half bfloat16 to type_as dropout dropout1d dropout2d alpha_dropout feature_dropout
    """.split()
)
RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, pointwise.elementwise),
    **dict.fromkeys(ACTIVATIONS, difference_rules.activation),
    **dict.fromkeys(SUMS, difference_rules.addition),
    **dict.fromkeys(["cat", "concat", "concatenate"], pointwise.concatenation),
    **dict.fromkeys(["softmax", "log_softmax", "softmin", "glu"], pointwise.along),
    **dict.fromkeys(["chunk", "split"], pointwise.partition),
    **dict.fromkeys(["matmul", "__matmul__"], pointwise.matrix_product),
    **dict.fromkeys(["dropout", "dropout1d", "dropout2d", "alpha_dropout"], pointwise.dropout),
    **dict.fromkeys(["contiguous", "detach"], pointwise.same),
    "linear": pointwise.linear,
    "batch_norm": pointwise.batch_norm,
    "layer_norm": pointwise.layer_norm,
    "prelu": pointwise.prelu,
    **dict.fromkeys(["conv1d", "conv2d"], convolutions.convolution),
    **dict.fromkeys(["max_pool1d", "max_pool2d"], pools.max_pool),
    **dict.fromkeys(["avg_pool1d", "avg_pool2d"], pools.average_pool),
    **dict.fromkeys(["transpose", "swapaxes", "swapdims"], layouts.transposition),
    "mT": layouts.matrix_transposition,
    "permute": layouts.permutation,
    "unsqueeze": layouts.insertion,
    "squeeze": layouts.removal,
    **dict.fromkeys(["view", "reshape", "flatten", "unflatten"], layouts.reshaping),
    "flip": layouts.reversal,
    "pad": layouts.padding,
    "__getitem__": layouts.selection,
    **dict.fromkeys(["sum", "mean"], reductions.total),
    "amax": reductions.largest,
    "adaptive_avg_pool1d": reductions.average_to_one,
    "adaptive_max_pool1d": reductions.largest_to_one,
}
# Of tensors that were flattened, rows by numbers.
FLAT_RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, dense_layers.elementwise),
    **dict.fromkeys(["dropout", "alpha_dropout", "contiguous", "detach"], dense_layers.same),
    "linear": dense_layers.dense,
}
