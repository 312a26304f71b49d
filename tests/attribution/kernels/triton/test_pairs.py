"""Which recorded elements belong to those of the references, in Triton."""

import pytest
import torch

from triton_interpreter import needs_interpreter

pytestmark = needs_interpreter
pytest.importorskip("triton")

import triton  # noqa: E402
import triton.language as tl  # noqa: E402

from seqlight.attribution.kernels.triton import pairs  # noqa: E402


@triton.jit(do_not_specialize=["start", "span", "n"])
def _partners(out, start, span, n, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    tl.store(out + i, pairs.partner_of(start + i.to(tl.int64), span, n))


@pytest.mark.reliability(
    "accelerators",
    "more rows of references on a GPU than 32 bits can count",
    "each is compared with its own sequence",
)
@pytest.mark.parametrize(("span", "n"), [(2**20, 2**12), (2**16 + 1, 2**16), (3, 5)])
def test_partners(span, n):
    out, start = torch.empty(16, dtype=torch.int64), 3 * span * n - 4
    _partners[(1,)](out, start, span, n, SIZE=16)
    assert out.tolist() == [row // (span * n) * span + row % span for row in range(start, start + 16)]
