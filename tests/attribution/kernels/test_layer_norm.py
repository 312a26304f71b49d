"""Compiled layer norm is PyTorch's, as exactly as float32 allows, and its gradient is that of the plain rule."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from multipliers import needs_loops, needs_wide_registers, reference_pairs
from seqlight.attribution.kernels import layer_norm as kernels
from seqlight.attribution.kernels.memory_layout import row_pairs
from seqlight.attribution.kernels.table import kernel_for
from seqlight.attribution.rules import layer_norm
from seqlight.native import threads as native_threads

pytestmark = needs_loops


@given(reference_pairs(), st.booleans())
def test_gradients(both, weighted):
    x1, x0 = (one.nan_to_num(0, 3, -3) for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    weight = torch.linspace(0.5, 2, x0.shape[-1], dtype=x0.dtype) if weighted else None
    recorded, reference = (
        (x, x.mean(-1, keepdim=True), (x.var(-1, unbiased=False, keepdim=True) + 1e-2).rsqrt()) for x in (x1, x0)
    )
    grad = torch.cos(x0)
    found = kernels.layer_norm_vjp(grad, weight, recorded, reference)
    torch.testing.assert_close(
        found, layer_norm.layer_norm_vjp(grad, weight, recorded, reference), rtol=1e-4, atol=1e-4
    )


@needs_wide_registers
@given(reference_pairs(), st.booleans())
def test_gradients_with_and_without_wide_registers(both, weighted):
    x1, x0 = (one.nan_to_num(0, 3, -3).float().contiguous() for one in both)
    if x0.shape[-1] != x1.shape[-1]:
        return
    weight = torch.linspace(0.5, 2, x0.shape[-1]) if weighted else None
    recorded, reference = (kernels.layer_norm(x, None, None, 1e-2) for x in (x1, x0))
    tensors = torch.cos(x0), weight, x1, *recorded[2:], x0, *reference[2:]
    found = []
    for name in ("standardised_gradients", "standardisation_gradients"):
        found.append(torch.full_like(x0, float("nan")))
        numbers = *row_pairs(x1, x0), x0.shape[-1], 4
        native_threads.run(name, (*tensors, found[-1]), numbers, reference[2].numel(), x0.numel())
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


@st.composite
def rows_to_normalise(draw):
    rows, width = draw(st.integers(1, 40)), draw(st.integers(1, 70))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = 3 * torch.randn(draw(st.integers(1, 3)), rows, width, generator=generator) + draw(st.sampled_from([0, 5]))
    layout = draw(st.sampled_from(["in one piece", "across", "parts", "flat", "every other"]))
    if layout == "across":
        x = x.mT.contiguous().mT
    elif layout == "parts":
        x = torch.cat([x, x], 2)[:, :, :width]
    elif layout == "flat":
        x = x.flatten(0, 1)
    elif layout == "every other":
        x = torch.stack([x, x], 3)[..., 0]
    fixed = [torch.randn(width, generator=generator) if draw(st.booleans()) else None for _ in range(2)]
    return x, *fixed, draw(st.sampled_from([1e-5, 1e-2]))


@needs_wide_registers
@given(rows_to_normalise())
def test_layer_norm(case):
    x, weight, bias, eps = case
    kept, y, mean, rate = kernels.layer_norm(*case)
    assert torch.equal(kept, x)
    assert all(one.is_contiguous() for one in (kept, y, mean, rate))
    weight, bias = (one if one is None else one.double() for one in (weight, bias))
    wanted = torch.native_layer_norm(x.double(), x.shape[-1:], weight, bias, eps)
    torch.testing.assert_close(mean.double(), wanted[1], rtol=1e-6, atol=1e-6)
    # Where the numbers of a row hardly differ, so do their rounded differences from their mean.
    lost = 2**-21 * (1 + x.abs().amax(2 if x.ndim == 3 else 1, keepdim=True) * rate)
    assert ((rate - wanted[2]).abs() <= lost * rate).all()
    size = 1 if weight is None else weight.abs()
    assert ((y - wanted[0]).abs() <= lost * size * (1 + y.abs()) + 2**-21 * (1 + y.abs())).all()
    alone = [kernels.layer_norm(row[None], *case[1:])[1] for row in x]
    assert torch.equal(torch.cat(alone), y)


@needs_wide_registers
def test_layer_norm_of_values_that_are_not_finite():
    x = torch.randn(2, 3, 20)
    x[0, 1, 4], x[1, 2, 0] = float("nan"), float("inf")
    found = kernels.layer_norm(x, None, None, 1e-5)[1]
    assert found.isnan().all(2).tolist() == [[False, True, False], [False, False, True]]
    assert found.isnan().any(2).tolist() == [[False, True, False], [False, False, True]]
    assert kernels.layer_norm(x[:0], None, None, 1e-5) is None
    assert kernel_for("layer_norm.layer_norm", "cpu", torch.float64) is None
