"""Every entry of the table, in every spelling, adds up; what is linear is known to be; the rest is not."""

import warnings

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.rules import operation_names, table
from seqlight.attribution.rules.pooling import FRACTIONAL_MAXIMA

# How to call an operation of each name, where f(x) alone does not do; x is what depends on the input,
# between 0.2 and 0.8 where its name is in UNIT, above 1 where it is in ABOVE.
POSITIVE = set("log log2 log10 sqrt rsqrt lgamma digamma gammaln psi entr reciprocal __rdiv__ __rtruediv__".split())
UNIT = set("log1p asin acos atanh arcsin arccos arctanh erfinv logit xlogy xlog1py".split()) | POSITIVE
UNIT |= set("pow float_power __pow__ __ipow__ hypot".split())
UNIT |= set(
    "ndtri multigammaln mvlgamma igamma igammac gammainc gammaincc binary_cross_entropy poisson_nll_loss".split()
)
UNIT |= set("bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1".split())
UNIT |= set("scaled_modified_bessel_k0 scaled_modified_bessel_k1".split())
ABOVE = {"acosh", "arccosh", "zeta"}
STEPS = set(
    "heaviside floor ceil round trunc fix sign sgn floor_divide __floordiv__ __ifloordiv__".split()
)  # piecewise constant
C = torch.linspace(0.3, 0.9, 20, dtype=torch.float64)
SQUARE = torch.linspace(-1, 1, 400, dtype=torch.float64).view(20, 20)


def product_and_sum(a, b, c):
    return a * b + c


def slope(x):
    return x.new_full((6,), 0.25)


def assigned(f, x):
    x = x.clone()
    f(x, x < 0.2, 0.2)
    return x


CALLS = {
    "setitem": assigned,
    "threshold": lambda f, x: f(x, 0.1, -0.3),
    "threshold_": lambda f, x: f(x, 0.1, -0.3),
    "prelu": lambda f, x: f(x, slope(x)),
    "polygamma": lambda f, x: f(x.abs() + 1, 1) if "Tensor" in str(f) else f(1, x.abs() + 1),
    "__rpow__": lambda f, x: f(x, 2.0),
    "__rdiv__": lambda f, x: f(x, 2.0),
    "__rtruediv__": lambda f, x: f(x, 2.0),
    "logit": lambda f, x: f(x, 1e-6),
    "multi_head_attention_forward": lambda f, x: mha(f, x),
    **dict.fromkeys(["clamp", "clip"], lambda f, x: f(x, -0.5, 0.5)),
    **dict.fromkeys(["clamp_min", "clamp_max"], lambda f, x: f(x, 0.1)),
    **dict.fromkeys(
        "maximum minimum fmax fmin copysign logaddexp logaddexp2 atan2 arctan2".split(), lambda f, x: f(x, C)
    ),
    "heaviside": lambda f, x: f(x, C),
    "polar": lambda f, x: torch.view_as_real(f(x, x.flip(1))),
    **dict.fromkeys(
        ["fmod", "remainder", "__mod__"], lambda f, x: f(x, C) + f((C + 2).expand(x.shape).clone(), x + 0.1)
    ),
    "__rmod__": lambda f, x: f(x, C),
    **dict.fromkeys("__imod__ xlogy xlog1py hypot".split(), lambda f, x: f(x, C)),
    **dict.fromkeys("pow float_power __pow__ __ipow__".split(), lambda f, x: f(x, 2.5)),
    "where": lambda f, x: f(x > 0.1, x, C) if f is torch.where else f(x, x > 0.1, C),
    "masked_fill": lambda f, x: f(x, x < 0.1, -0.7),
    **dict.fromkeys([*table.DIVISIONS, "__itruediv__", "__idiv__", "quotient"], lambda f, x: f(x * 1, x.abs() + 1)),
    **dict.fromkeys("mul multiply __mul__ __rmul__ __imul__".split(), lambda f, x: f(x[:, :3] * 1, x[:, 3:])),
    **dict.fromkeys(["matmul", "__matmul__", "__rmatmul__", "bmm"], lambda f, x: f(x, x.mT)),
    "cross": lambda f, x: f(x[:, :3], x[:, 3:], dim=1),
    "mm": lambda f, x: rowwise(lambda a: f(a, a.T), x),
    "inner": lambda f, x: rowwise(lambda a: f(a, a), x),
    "chain_matmul": lambda f, x: chained(f, x),
    "mv": lambda f, x: rowwise(lambda a: f(a, a[0]), x),
    **dict.fromkeys(["dot", "vdot"], lambda f, x: rowwise(lambda a: f(a[0], a[1]), x)),
    **dict.fromkeys(["outer", "ger"], lambda f, x: rowwise(lambda a: f(a[0], a[1]), x)),
    "einsum": lambda f, x: f("bcl,bdl,bel->bcde", x, x[:, :2], x[:, 2:4]),
    "tensordot": lambda f, x: rowwise(lambda a: f(a, a.T, dims=1), x),
    "kron": lambda f, x: rowwise(lambda a: f(a, a[:2]), x),
    "bilinear": lambda f, x: f(x, x.flip(-1), SQUARE[None].repeat(2, 1, 1)),
    # A copy: in place, what is written must not be what is read.
    "baddbmm": lambda f, x: f(x[:, :, :6] * 1, x, x.mT),
    "addmm": lambda f, x: rowwise(lambda a: f(a[:, :6] * 1, a, a.T), x),
    "addbmm": lambda f, x: rowwise(lambda a: f(a[:, :6] * 1, a[None], a.T[None]), x),
    "addmv": lambda f, x: rowwise(lambda a: f(a[:, 0] * 1, a, a[1]), x),
    "addr": lambda f, x: rowwise(lambda a: f(a[:, :6] * 1, a[:, 0], a[0, :6]), x),
    **dict.fromkeys(["addcmul", "lerp"], lambda f, x: f(x * 1, x.flip(1), x.flip(2))),
    "addcdiv": lambda f, x: f(x * 1, x.flip(1), x.flip(2).abs() + 1),
    "linear": lambda f, x: rowwise(lambda a: f(a, a), x),
    **dict.fromkeys(["conv1d", "conv_transpose1d"], lambda f, x: rowwise(lambda a: f(a[None, :1], a[None, :1, :3]), x)),
    **dict.fromkeys(
        ["conv2d", "conv_transpose2d"], lambda f, x: rowwise(lambda a: f(a[None, None], a[None, None, :2, :3]), x)
    ),
    **dict.fromkeys(
        ["conv3d", "conv_transpose3d"],
        lambda f, x: rowwise(lambda a: f(a.view(1, 1, 6, 4, 5), a.view(1, 1, 6, 4, 5)[..., :2, :2, :2]), x),
    ),
    "convolution": lambda f, x: rowwise(lambda a: f(a[None], a[None, :, :3], None, [1], [0], [1], False, [0], 1), x),
    **dict.fromkeys(["softmax", "log_softmax", "logsumexp", "softmin"], lambda f, x: f(3 * x, 1)),
    "next_states": lambda f, x: f(x[:, 0], "gru", x[:, 1, :5], None, *weights(x, 3)),
    **dict.fromkeys(["softmax_over", "log_softmax_over", "logsumexp_over"], lambda f, x: f(3 * x, 2)),
    **dict.fromkeys(["amax", "amin"], lambda f, x: f(x, (1, 2))),
    **dict.fromkeys(["max", "min"], lambda f, x: f(x, 2)[0]),
    **dict.fromkeys(["unbind", "__iter__"], lambda f, x: product_and_sum(*f(x.unflatten(1, (3, 2)).transpose(0, 1)))),
    "layer_norm_over_last": lambda f, x: f(x, torch.linspace(0, 1, x.shape[-1], dtype=x.dtype), None, 1e-5),
    **dict.fromkeys(
        ["rnn_relu", "rnn_tanh"],
        lambda f, x: f(x, x.new_zeros(1, len(x), 5), weights(x), False, 1, 0.0, False, False, True)[0],
    ),
    "gru": lambda f, x: f(x, x.new_zeros(1, len(x), 5), weights(x, 3), False, 1, 0.0, False, False, True)[0],
    "lstm": lambda f, x: f(x, (x.new_zeros(1, len(x), 5),) * 2, weights(x, 4), False, 1, 0.0, False, False, True)[0],
    **dict.fromkeys(["rnn_relu_cell", "rnn_tanh_cell"], lambda f, x: f(x[:, 0], x[:, 1, :5], *weights(x))),
    "gru_cell": lambda f, x: f(x[:, 0], x[:, 1, :5], *weights(x, 3)),
    "lstm_cell": lambda f, x: sum(f(x[:, 0], (x[:, 1, :5], x[:, 2, :5]), *weights(x, 4))),
    "recur": lambda f, x: f(x.transpose(0, 1), "gru", [x[None, :, 1, :5]], weights(x, 3))[0].transpose(0, 1),
    "attend": lambda f, x: f(torch.sin(x), x, 2 * x, None, 0.5),
    "max_over_last": lambda f, x: f(x)[0],
    "layer_norm": lambda f, x: f(x, (20,), C, C),
    "rms_norm": lambda f, x: f(x, (20,), C),
    "group_norm": lambda f, x: f(x, 2, slope(x), slope(x)),
    "instance_norm": lambda f, x: (
        f(x, weight=slope(x)) if f is F.instance_norm else f(x, slope(x), None, None, None, True, 0.1, 1e-5, False)
    ),
    "glu": lambda f, x: f(x, 1),
    **dict.fromkeys(["prod", "cumprod", "logcumsumexp", "var", "std"], lambda f, x: f(x + 0.3, 1)),
    "cosine_similarity": lambda f, x: f(x[:, :3], x[:, 3:], 2),
    "scaled_dot_product_attention": lambda f, x: f(3 * x, x, x, is_causal=True),
    "dropout2d": lambda f, x: torch.sin(f(x[..., None], 0.5, False)),
    "dropout3d": lambda f, x: torch.sin(f(x[..., None, None], 0.5, False)),
    "dropout": lambda f, x: torch.sin(f(x, 0.5, False)),
    **dict.fromkeys(
        "alpha_dropout feature_dropout feature_alpha_dropout dropout1d".split(),
        lambda f, x: torch.sin(f(x, 0.5, False)),
    ),
    **dict.fromkeys(["normalize", "norm"], lambda f, x: f(x, 2, 1)),
    **dict.fromkeys(["var_mean", "std_mean"], lambda f, x: torch.cat(f(x, 1), 1)),
    "pairwise_distance": lambda f, x: f(x, x.flip(1) + 1),
    **dict.fromkeys("floor_divide __floordiv__ __ifloordiv__".split(), lambda f, x: f(x, 0.3 * C)),
    **dict.fromkeys(["multigammaln", "mvlgamma"], lambda f, x: f(x + 1, 2)),
    **dict.fromkeys(
        [
            *(f"{shifted}chebyshev_polynomial_{kind}" for shifted in ("", "shifted_") for kind in "tuvw"),
            *("hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p".split()),
        ],
        lambda f, x: f(x, 3),
    ),
    **dict.fromkeys(
        "igamma igammac gammainc gammaincc zeta".split(), lambda f, x: f(x, C) + f((C + 2).expand(x.shape).clone(), x)
    ),
    **dict.fromkeys(["sort", "mode"], lambda f, x: f(x, 1)[0]),
    "topk": lambda f, x: f(x, 3, 1, False)[0],
    "kthvalue": lambda f, x: f(x, 3, 1)[0],
    "msort": lambda f, x: f(x.transpose(0, 1)).transpose(0, 1),
    **dict.fromkeys(["median", "nanmedian", "cummax", "cummin"], lambda f, x: f(x, 2)[0]),
    **dict.fromkeys(["quantile", "nanquantile"], lambda f, x: f(x, x.new_tensor([0.1, 0.35, 1]), 2).movedim(0, -1)),
    "aminmax": lambda f, x: torch.cat(f(x, dim=1), 1),
    "cdist": lambda f, x: f(x, x.flip(1)[:, :4] + 1),
    "pdist": lambda f, x: rowwise(lambda a: f(a), x),
    "dist": lambda f, x: rowwise(lambda a: f(a, a.flip(0) + 1), x),
    "renorm": lambda f, x: f(x, 2, 0, 6.0),
    **{f"max_unpool{n}d": lambda f, x, n=n: unpooled(n, f, x) for n in (1, 2, 3)},
    **{
        f"fractional_max_pool{n}d{suffix}": lambda f, x, n=n: fractional(n, f, x)
        for n in (2, 3)
        for suffix in ("", "_with_indices")
    },
    "maxima": lambda f, x: maxima(f, x),
    "put": lambda f, x: f(x[:, :, :9], places(x), None, 20),
    **dict.fromkeys(["elementwise", "slopeless"], lambda f, x: f(x, torch.tanh)),
    # What is held is that of the sequence, so it must be equal for a reference: 1 here, and a factor that counts.
    "choice": lambda f, x: f(torch.sign(x).clamp(min=0), x.flip(1), 0.5 * x),
    "hold": lambda f, x: x * f(torch.cos(x).square() + torch.sin(x).square()),
    **dict.fromkeys(
        "sorted_over_last running_max_over_last mode_over_last".split(), lambda f, x: f((2 * x).round() / 2)[0]
    ),
    **dict.fromkeys(
        "l1_loss mse_loss smooth_l1_loss huber_loss".split(), lambda f, x: f(x, x.flip(1), reduction=none(f))
    ),
    "soft_margin_loss": lambda f, x: f(x, SIGNS, reduction=none(f)),
    "kl_div": lambda f, x: (
        f(x, x.flip(1).sigmoid(), reduction=none(f)) + f(x, x.flip(1), reduction=none(f), log_target=True)
    ),
    "binary_cross_entropy": lambda f, x: f(x, x.flip(1), SIGNS + 2, reduction=none(f)),
    "binary_cross_entropy_with_logits": lambda f, x: f(
        x, x.flip(1).sigmoid(), SIGNS + 2, pos_weight=C, reduction=none(f)
    ),
    "poisson_nll_loss": lambda f, x: sum(
        f(x, x.flip(1) * 3, log_input, full, eps=1e-8, reduction=none(f))
        for log_input, full in [(False, True), (True, False)]
    ),
    "gaussian_nll_loss": lambda f, x: f(x, x.flip(1), x.flip(2).abs() + 1, True, reduction="none"),
    "hinge_embedding_loss": lambda f, x: f(x, SIGNS, 0.5, reduction=none(f)),
    "margin_ranking_loss": lambda f, x: f(x, x.flip(1), SIGNS.expand(len(x), 6, 20), 0.3, reduction=none(f)),
    "cosine_embedding_loss": lambda f, x: rowwise(
        lambda a: f(a, a.flip(0) + 0.2, SIGNS[0, :6], 0.1, reduction=none(f)), x
    ),
    **dict.fromkeys(
        ["triplet_margin_loss", "triplet_margin_with_distance_loss"],
        lambda f, x: f(x, x.flip(1), x.flip(2), margin=1.0, swap=True, reduction=none(f)),
    ),
    "multi_margin_loss": lambda f, x: rowwise(lambda a: f(a, torch.arange(6) * 3, 2, 0.7, C, reduction=none(f)), x),
    "multilabel_margin_loss": lambda f, x: rowwise(lambda a: f(a, LABELS, reduction=none(f)), x),
    "multilabel_soft_margin_loss": lambda f, x: f(x, x.flip(1), C, reduction="none"),
    **dict.fromkeys(["cross_entropy", "cross_entropy_loss"], lambda f, x: entropies(f, x)),
    "vector_norm": lambda f, x: f(x, 3, 1),
    "local_response_norm": lambda f, x: f(x, 3, alpha=1.0),
    "lp_pool1d": lambda f, x: f(x, 2.0, 3),
    "lp_pool2d": lambda f, x: f(x, 2.0, 2),
    "lp_pool3d": lambda f, x: f(x.view(-1, 6, 2, 2, 5), 2.0, 2),
    **{f"max_pool{n}d": lambda f, x: f(x.view(-1, 6, 20), 3, 2) for n in (1,)},
}
CALLS.update({name + "_": call for name, call in CALLS.items()})


ONE_ROW = set(
    """mm inner mv chain_matmul
    dot vdot outer ger tensordot kron addmm addbmm addmv addr linear conv1d conv2d conv_transpose1d
    conv_transpose2d conv3d conv_transpose3d convolution
    pdist dist renorm cosine_embedding_loss multi_margin_loss multilabel_margin_loss""".split()
)


SIGNS = torch.where(torch.arange(20) % 3 == 0, -1.0, 1.0).double()[None]
LABELS = torch.tensor([3, 7, -1, *[5] * 17]).repeat(6, 1)
SAMPLES = torch.rand(1, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def none(f):
    """How a loss is asked for all its values: by name in Python, by number below."""
    return "none" if f in vars(F).values() and "built-in" not in str(f) else 0


def entropies(f, x):
    found = [f(x, x.flip(1).softmax(1), C[:6], reduction=none(f), label_smoothing=0.1)]
    found += [f(x, torch.arange(20).expand(len(x), -1) % 6, C[:6], None, reduction="none")] if none(f) else []
    return torch.cat(found, 1)


def places(x):
    return torch.arange(9).expand(len(x), 6, -1) * 2


def unpooled(n, f, x):
    shape, sizes = {1: ((20,), 3), 2: ((4, 5), 2), 3: ((2, 2, 5), 2)}[n]
    x = x.view(-1, 6, *shape)
    y, at = getattr(F, f"max_pool{n}d")(x, sizes, return_indices=True)
    return f(torch.tanh(y.flip(1)) + 1, at, sizes, output_size=shape)


def fractional(n, f, x):
    x, samples, sizes = windows(n, x)
    y = f(x, 2, output_size=sizes, _random_samples=samples)
    return y[0] if isinstance(y, tuple) else y


def windows(n, x):
    x = x.view(-1, 2, 3, 4, 5) if n == 3 else x.view(-1, 6, 4, 5)
    return x, SAMPLES[:, : x.shape[1], :n].expand(len(x), -1, -1), (1, 2, 3)[3 - n :]


def maxima(f, x):
    x, samples, sizes = windows(2 if f is FRACTIONAL_MAXIMA[2] else 3, x)
    return f(x, 2, sizes, None, samples)[0]


def mha(f, x):
    w = SQUARE[:18, :6] * 2
    q = x.permute(2, 0, 1)
    return f(q, q, q, 6, 2, w, None, None, None, False, 0.0, SQUARE[:6, :6], None, training=False)[0].permute(1, 2, 0)


def chained(f, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated
        return rowwise(lambda a: f(a, a.T, a), x)


def rowwise(f, x):
    return torch.stack([f(one) for one in x])


def weights(x, gates=1):
    return [torch.sin(torch.arange(5.0 * gates * n, dtype=x.dtype)).view(5 * gates, n) for n in (20, 5)]


def pooled(name, f, x):
    n = int(name[-2])
    x = x.view(-1, 6, *{1: (20,), 2: (4, 5), 3: (2, 2, 5)}[n])
    y = f(x, 2) if name.startswith("max") else f(x, (2,) * n)
    return y[0] if isinstance(y, tuple) else y


def result(function, name, x):
    """Call `function` by its name; of one that works in place, what it wrote."""
    key = getattr(function, "__name__", name).removeprefix("special_").removeprefix("linalg_")
    x = (
        x.sigmoid() * 0.6 + 0.2
        if key.rstrip("_") in UNIT or key in UNIT
        else x.abs() + 1.5
        if key.rstrip("_") in ABOVE
        else x
    )
    x = x * 1.0
    if "_pool" in key and not key.startswith(("lp", "fractional")):
        return pooled(name, function, x)
    call = CALLS.get(key, CALLS.get(name, lambda f, x: f(x)))
    y = call(function, x)
    y = y[0] if isinstance(y, tuple) else y
    return y + 0.1 * x.sum((1, 2)).view(-1, *[1] * (y.ndim - 1)) if name in STEPS else y


ENTRIES = sorted(
    (
        (entry.name, getattr(f, "__module__", None) or getattr(f, "__qualname__", ""), f)
        for f, entry in table.rules().items()
    ),
    key=lambda one: (one[0], str(one[1]), getattr(one[2], "__name__", "")),
)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        pytest.param(name, f, id=f"{name}-{i}-{getattr(f, '__qualname__', '')}")
        for i, (name, _, f) in enumerate(ENTRIES)
    ],
)
def test_each_entry_adds_up(name, function, engine_gap):
    torch.manual_seed(0)
    # Functions of one row at a time are stacked, which only a batch of one survives.
    n = 1 if ONE_ROW & {name, getattr(function, "__name__", "")} else 2
    x, r = torch.randn(n, 6, 20, dtype=torch.float64), torch.randn(n, n, 6, 20, dtype=torch.float64)
    assert engine_gap(lambda x: result(function, name, x), x, r) < 1e-9


def test_every_name_of_the_table_exists_in_pytorch():
    names = [
        *table.ELEMENTWISE,
        *table.BINARY,
        *table.PRODUCTS,
        *table.DECOMPOSED,
    ]
    missing = [name for name in names if not operation_names.spellings(name)]
    assert missing == []
