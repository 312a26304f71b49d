"""How each operation of PyTorch is called in the study by operation: a table of expressions, and of domains.

In an expression, ``f`` stands for any spelling of the operation, ``m`` for a module, and ``x`` for the tensor that
depends on the sequences, of shape (rows, 6, 16). An operation with several kinds of arguments has an expression for
each, by the words that name it in the study.
"""

from __future__ import annotations

from typing import TypeAlias

Expressions: TypeAlias = dict[str, str]


def each(names: str, expression: str | None = None, **more: str) -> dict[str, Expressions]:
    """Return the same expressions for each of these names; words are joined by underscores in keywords."""
    first = {} if expression is None else {"": expression}
    return dict.fromkeys(names.split(), first | {words.replace("_", " "): one for words, one in more.items()})


# Tensors that expressions name: each is made by the model that uses it.
TENSORS = {
    "grid": "x.unflatten(2, (4, 4))",
    "cube": "x.unflatten(2, (2, 2, 4))",
    "volume": "x.view(-1, 2, 3, 4, 4)",
    "c": "torch.linspace(0.3, 0.9, 16, dtype=x.dtype)",
    "w": "torch.arange(256, dtype=x.dtype).sin().view(16, 16)",
    "s": "torch.tensor([-1.0, 1, 1, -1] * 4, dtype=x.dtype)",
    "p": "[torch.arange(n * 16, dtype=x.dtype).sin().view(n, 16) / 2 for n in (4, 8, 12, 16)]",
    "q": "[torch.arange(n * 4, dtype=x.dtype).cos().view(n, 4) for n in (4, 8, 12, 16)]",
    "h": "x.new_zeros(1, len(x), 4)",
    "samples": "torch.linspace(0.1, 0.9, 18, dtype=x.dtype).view(6, 3).expand(len(x), 6, 3)",
    "classes": "torch.arange(16).expand(len(x), 16) % 6",
}

# Between which numbers x lies, where an operation is not defined or not smooth elsewhere.
REAL = (-2.5, 2.5)
POSITIVE, PROBABILITY, SMALL, ABOVE_ONE = (0.2, 3.0), (0.1, 0.9), (-0.9, 0.9), (1.2, 3.0)
WIDE = (-6.0, 12.0)
DOMAINS: dict[str, tuple[float, float]] = {
    **dict.fromkeys("log log2 log10 sqrt rsqrt reciprocal __rdiv__ __rtruediv__".split(), POSITIVE),
    **dict.fromkeys("lgamma gammaln digamma psi polygamma pow float_power __pow__ xlogy xlog1py".split(), POSITIVE),
    **dict.fromkeys("bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1 poisson_nll_loss".split(), POSITIVE),
    **dict.fromkeys("scaled_modified_bessel_k0 scaled_modified_bessel_k1".split(), POSITIVE),
    **dict.fromkeys("igamma igammac gammainc gammaincc kl_div".split(), POSITIVE),
    **dict.fromkeys("erfinv ndtri logit entr binary_cross_entropy".split(), PROBABILITY),
    **dict.fromkeys("log1p asin acos atanh arcsin arccos arctanh tan".split(), SMALL),
    **dict.fromkeys("hardsigmoid hardswish relu6".split(), WIDE),
    **dict.fromkeys("acosh arccosh zeta multigammaln mvlgamma".split(), ABOVE_ONE),
}

_POLYNOMIALS = [f"{shifted}chebyshev_polynomial_{kind}" for shifted in ("", "shifted_") for kind in "tuvw"]
_POLYNOMIALS += "hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p".split()
_ORDERS = "gt lt ge le greater less greater_equal less_equal __gt__ __lt__ __ge__ __le__"
_EQUALITIES = "eq ne not_equal __eq__ __ne__"

# By the operation, or by one spelling of it. What is not here is called as f(x).
CALLS: dict[str, Expressions] = {
    # Elementwise, with parameters.
    **each("threshold", "f(x, 0.1, -0.3)"),
    **each("prelu", "f(x, x.new_full((6,), 0.25))"),
    **each("polygamma", "f(1, x)"),
    **each("Tensor.polygamma Tensor.polygamma_", "f(x, 1)"),
    **each("logit", "f(x, 1e-6)"),
    **each("multigammaln mvlgamma", "f(x, 2)"),
    **each("round", "f(x)", decimals="f(x, decimals=1)"),
    **each("abs absolute angle", "f(x)", complex="f(torch.complex(x, x.flip(1)))"),
    **each("Tensor.abs_ Tensor.absolute_ torch.abs_", "f(x)"),
    **each(" ".join(_POLYNOMIALS), "f(x, 3)"),
    # Of two tensors.
    **each("clamp clip", "f(x, -0.5, 0.5)", both="f(x, x.flip(1) - 1, x.flip(2) + 1)"),
    **each("clamp_min clamp_max", "f(x, 0.1)", both="f(x, x.flip(1))"),
    **each("maximum minimum fmax fmin copysign logaddexp logaddexp2", constant="f(x, c)", both="f(x, x.flip(1))"),
    **each("atan2 arctan2 xlogy xlog1py hypot", constant="f(x, c)", both="f(x, x.flip(1))"),
    **each("fmod remainder __mod__", constant="f(x, c)", both="f(x, x.flip(1) + 4)"),
    **each("pow float_power __pow__", constant="f(x, 2.5)", both="f(x, x.flip(1))"),
    **each("Tensor.__rpow__", "2 ** x"),
    **each("Tensor.__rdiv__ Tensor.__rtruediv__", constant="f(x, 2.0)", both="f(x, x.flip(1))"),
    **each("Tensor.__rmod__", "f(x, 2.0)"),
    **each("heaviside", constant="f(x, c)", both="f(x.round(), x.flip(1))"),
    **each("polar", "torch.view_as_real(f(x, x.flip(1)))"),
    **each("div divide", constant="f(1, x + 3)", both="f(x, x.flip(1) + 3)", floor="f(x, c, rounding_mode='floor')"),
    **each("Tensor.div Tensor.divide", both="f(x, x.flip(1) + 3)", trunc="f(x, c, rounding_mode='trunc')"),
    **each("Tensor.div_ Tensor.divide_ Tensor.__idiv__ Tensor.__itruediv__", both="f(x, x.flip(1) + 3)"),
    **each("true_divide __truediv__ __div__", both="f(x, x.flip(1) + 3)"),
    **each("floor_divide __floordiv__", constant="f(x, c)", both="f(x, x.flip(1) + 3)"),
    **each("where", constant="f(x > 0.1, x, c)", both="f(x > 0.1, x, x.flip(1))"),
    **each("Tensor.where", constant="f(x, x > 0.1, c)", both="f(x, x > 0.1, x.flip(1))"),
    **each("masked_fill", constant="f(x, x < 0.1, -0.7)", both="torch.stack([f(a, a < 0.1, a[0, 0]) for a in x])"),
    **each("Tensor.masked_fill_", constant="f(x, x < 0.1, -0.7)"),
    **each("Tensor.__setitem__", constant="[y := x.clone(), f(y, y < 0.1, -0.7)][0]"),
    **each("igamma igammac gammainc gammaincc zeta", constant="f(x, c)", second="f(c + 2, x)"),
    **each("Tensor.igamma_ Tensor.igammac_", constant="f(x, c)"),
    **each(_ORDERS, mask="x * f(x, 0.1)", number="f(x, x.flip(1)).to(x.dtype)"),
    **each(_EQUALITIES, mask="x * f(x.round(), 1.0)", number="f(x.round(), x.flip(1).round()).to(x.dtype)"),
    # Products.
    **each("mul multiply __mul__", constant="f(x, c)", both="f(x, x.flip(1))", mask="f(x, x > 0.1)"),
    **each("Tensor.__rmul__", "2.0 * x"),
    **each("matmul __matmul__ bmm", both="f(x, x.mT)"),
    **each("matmul __matmul__", constant="f(x, w)", both="f(x, x.mT)"),
    **each("Tensor.__rmatmul__", both="f(x, x.mT)"),
    **each("cross", constant="f(x[:, :3], w[None, :3], dim=1)", both="f(x[:, :3], x[:, 3:], dim=1)"),
    **each("mm", constant="f(x[:, 0], w)", both="torch.stack([f(a, a.T) for a in x])"),
    **each("inner", constant="f(x, c)", both="torch.stack([f(a, a) for a in x])"),
    **each("mv", constant="f(x[:, 0], c)", both="torch.stack([f(a, a[0]) for a in x])"),
    **each("dot vdot outer ger", both="torch.stack([f(a[0], a[1]) for a in x])"),
    **each("chain_matmul", constant="f(x[:, 0], w, w)"),
    **each("einsum", constant="f('bcl,lm->bcm', x, w)", both="f('bcl,bdl->bcd', x, x)"),
    **each("tensordot", constant="f(x, w, dims=1)", both="torch.stack([f(a, a.T, dims=1) for a in x])"),
    **each("kron", constant="f(x, w[None, :2, :2])", both="torch.stack([f(a, a[:2]) for a in x])"),
    **each("bilinear", constant="f(x, c.expand_as(x), w[None])", both="f(x, x.flip(1), w[None])"),
    **each("baddbmm", both="f(x[:, :, :6].clone(), x, x.mT)"),
    **each("addmm", constant="f(x[:, 1], x[:, 0], w)", both="torch.stack([f(a[:, :6].clone(), a, a.T) for a in x])"),
    **each("addbmm", both="torch.stack([f(a[:, :6].clone(), a[None], a.T[None]) for a in x])"),
    **each("addmv", constant="f(x[:, 1, 0], x[:, 0], c)", both="torch.stack([f(a[:, 0] * 1, a, a[1]) for a in x])"),
    **each("addr", both="torch.stack([f(a[:, :6].clone(), a[:, 0], a[0, :6]) for a in x])"),
    **each("addcmul lerp", both="f(x, x.flip(1), x.flip(2))"),
    **each("addcdiv", both="f(x, x.flip(1), x.flip(2) + 4)"),
    **each("linear", constant="f(x, w)", both="torch.stack([f(a, a) for a in x])"),
    **each("conv1d conv_transpose1d", constant="f(x, w[:6, None, :3].expand(6, 6, 3))"),
    **each("conv2d conv_transpose2d", constant="f(x[:, None], w[None, None, :2, :3])"),
    **each("conv3d conv_transpose3d", constant="f(cube, w[:6, :6, None, None, None])"),
    **each("convolution", constant="f(x, w[:6, :6, None], None, [1], [0], [1], False, [0], 1)"),
    **each("unbind", both="math.prod(f(x, 1)[:3])"),
    **each("Tensor.__iter__", both="torch.stack([a[0] * a[1] for a in x])"),
    # Sums and norms.
    **each("softmax logsumexp", "f(x, 1)", masked="f(x.masked_fill(w[0] > 0, -math.inf), 2)"),
    **each("log_softmax softmin", "f(x, 1)"),
    **each("layer_norm", "f(x, (16,), c, c)", without_weights="f(x, (6, 16))"),
    **each("rms_norm", "f(x, (16,), c)"),
    **each("group_norm", "f(x, 2)"),
    **each("F.instance_norm", "f(x)"),
    **each("torch.instance_norm", "f(x, None, None, None, None, True, 0.1, 1e-5, False)"),
    **each("glu", "f(x, 1)"),
    **each("prod cumprod logcumsumexp", "f(x, 1)"),
    **each("var std", "f(x, 1)", correction="f(x, 1, correction=0)"),
    **each("var_mean std_mean", "torch.cat(f(x, 1), 1)"),
    **each("vector_norm", "f(x, 3, 1)", zero="f(x.relu(), 0, 1)", one="f(x, 1, 1)"),
    **each("norm", "f(x, 2, 1)", nuclear="f(x, 'nuc', (1, 2))", infinity="f(x, math.inf, 1)"),
    **each("normalize", "f(x, 2, 1)"),
    **each("cdist", "f(x, x.flip(1)[:, :4] + 1)", one="f(x, x.flip(1)[:, :4] + 1, p=1)"),
    **each("pairwise_distance", "f(x, x.flip(1) + 1)"),
    **each("cosine_similarity", constant="f(x, c, 2)", both="f(x[:, :3], x[:, 3:], 2)"),
    **each("pdist", "torch.stack([f(a) for a in x])"),
    **each("dist", "torch.stack([f(a, a.flip(0) + 1) for a in x])"),
    **each("renorm", "f(x, 2, 0, 6.0)"),
    **each("local_response_norm", "f(x, 3, alpha=1.0)"),
    # Order statistics.
    **each("amax amin", "f(x, (1, 2))"),
    **each("max min", "f(x, 2)[0]", both="f(x, x.flip(1))"),
    **each("sort", "f(x, 2)[0]", descending="f(x, 1, descending=True)[0]", indices="x.gather(2, f(x.flip(1), 2)[1])"),
    **each("mode median nanmedian cummax cummin", "f(x, 2)[0]"),
    **each("topk", "f(x, 3, 2)[0]", smallest="f(x, 3, 2, False)[0]", indices="x.gather(2, f(x.flip(1), 3, 2)[1])"),
    **each("kthvalue", "f(x, 3, 2)[0]"),
    **each("msort", "f(x.transpose(0, 1)).transpose(0, 1)"),
    **each("quantile nanquantile", "f(x, 0.35, 2)", nearest="f(x, 0.35, 2, interpolation='nearest')"),
    **each("aminmax", "torch.cat(f(x, dim=1), 1)"),
    # Pooling.
    **each("max_pool1d", "f(x, 4)", overlapping="f(x, 3, 2)", padded="f(x, 3, 3, 1)", dilated="f(x, 3, 2, 0, 2)"),
    **each("max_pool2d", "f(grid, 2)", overlapping="f(grid, 3, 1, 1)"),
    **each("max_pool3d", "f(cube, 2)", overlapping="f(cube, 2, 1)"),
    **each("F.max_pool1d_with_indices torch.max_pool1d_with_indices", "f(x, 4)[0]"),
    **each("F.max_pool2d_with_indices", "f(grid, 2)[0]"),
    **each("F.max_pool3d_with_indices", "f(cube, 2)[0]"),
    **each("adaptive_max_pool1d", "f(x, 4)", overlapping="f(x, 5)"),
    **each("adaptive_max_pool2d", "f(grid, 2)"),
    **each("adaptive_max_pool3d", "f(cube, (1, 2, 2))"),
    **each("torch.adaptive_max_pool1d F.adaptive_max_pool1d_with_indices", "f(x, 4)[0]"),
    **each("F.adaptive_max_pool2d_with_indices", "f(grid, 2)[0]"),
    **each("F.adaptive_max_pool3d_with_indices", "f(cube, (1, 2, 2))[0]"),
    **each("fractional_max_pool2d", "f(grid, 2, 2, _random_samples=samples[..., :2])"),
    **each("fractional_max_pool3d", "f(volume, 2, (1, 2, 2), _random_samples=samples[:, :2])"),
    **each("F.fractional_max_pool2d_with_indices", "f(grid, 2, 2, _random_samples=samples[..., :2])[0]"),
    **each("F.fractional_max_pool3d_with_indices", "f(volume, 2, (1, 2, 2), _random_samples=samples[:, :2])[0]"),
    **each("max_unpool1d", "f(*F.max_pool1d(x, 4, return_indices=True), 4)"),
    **each("max_unpool2d", "f(*F.max_pool2d(grid, 2, return_indices=True), 2)"),
    **each("max_unpool3d", "f(*F.max_pool3d(cube, 2, return_indices=True), 2)"),
    **each("lp_pool1d", "f(x, 2.0, 4)"),
    **each("lp_pool2d", "f(grid, 2.0, 2)"),
    **each("lp_pool3d", "f(cube, 2.0, 2)"),
    # Dropout in evaluation mode, with an operation that shows whether it passes its input on.
    **each("dropout alpha_dropout feature_dropout feature_alpha_dropout dropout1d", "f(x, 0.5, False)"),
    **each("dropout2d", "f(grid, 0.5, False)"),
    **each("dropout3d", "f(cube, 0.5, False)"),
    # Attention and recurrent networks.
    **each(
        "scaled_dot_product_attention",
        "f(x, x.flip(1), x)", causal="f(x, x, x, is_causal=True)", masked="f(x, x, x, w[:6, :6] > -0.9)",
    ),
    **each(
        "multi_head_attention_forward",
        "f(*[x.permute(2, 0, 1)] * 3, 6, 2, torch.cat([w[:6, :6]] * 3), None, None, None, False, 0.0, w[:6, :6], None, "
        "training=False)[0].transpose(0, 1)",
    ),
    **each("lstm", "f(x, (h, h), [p[3], q[3]], False, 1, 0.0, False, False, True)[0]"),
    **each("gru", "f(x, h, [p[2], q[2]], False, 1, 0.0, False, False, True)[0]"),
    **each("rnn_tanh rnn_relu", "f(x, h, [p[0], q[0]], False, 1, 0.0, False, False, True)[0]"),
    **each("lstm_cell", "f(x[:, 0], (x[:, 1, :4], x[:, 2, :4]), p[3], q[3])[0]"),
    **each("gru_cell", "f(x[:, 0], x[:, 1, :4], p[2], q[2])"),
    **each("rnn_tanh_cell rnn_relu_cell", "f(x[:, 0], x[:, 1, :4], p[0], q[0])"),
    # Losses, for models that compute one of their own output.
    **each("l1_loss mse_loss smooth_l1_loss huber_loss", "f(x, x.flip(1), reduction=none)"),
    **each("soft_margin_loss", "f(x, s, reduction=none)"),
    **each("kl_div", "f(x, x.flip(1), reduction=none)", log_target="f(x, x.flip(1), reduction=none, log_target=True)"),
    **each("binary_cross_entropy", "f(x, x.flip(1), reduction=none)"),
    **each("binary_cross_entropy_with_logits", "f(x, x.flip(1).sigmoid(), pos_weight=c, reduction=none)"),
    **each("poisson_nll_loss", "f(x, x.flip(1), False, True, eps=1e-8, reduction=none)"),
    **each("gaussian_nll_loss", "f(x, x.flip(1), x.flip(2).abs() + 1, reduction=none)"),
    **each("hinge_embedding_loss", "f(x, s, 0.5, reduction=none)"),
    **each("margin_ranking_loss", "f(x, x.flip(1), s.expand(len(x), 6, 16), 0.3, reduction=none)"),
    **each("cosine_embedding_loss", "f(x[:, 0], x[:, 1], x.new_ones(len(x)), 0.1, reduction=none)"),
    **each(
        "triplet_margin_loss triplet_margin_with_distance_loss",
        "f(x, x.flip(1), x.flip(2), margin=1.0, swap=True, reduction=none)",
    ),
    **each("multi_margin_loss", "f(x[:, 0], classes[:, 3], 2, 0.7, c, reduction=none)"),
    **each("multilabel_margin_loss", "f(x[:, 0], torch.tensor([[3, 7, -1] + [5] * 13] * len(x)), reduction=none)"),
    **each("multilabel_soft_margin_loss", "f(x, x.flip(1), reduction=none)"),
    **each("cross_entropy cross_entropy_loss", "f(x, x.flip(1).softmax(1), reduction=none)"),
    **each("F.cross_entropy", "f(x, x.flip(1).softmax(1), reduction=none)", classes="f(x, classes, reduction=none)"),
}  # fmt: skip
