"""Which recorded element of the sequences belongs to an element of the references: ``native/pairs.h``, for Triton.

The recorded ones have shape (outer, span), those of the references (outer, n, span). An element is a number, a row or
a head.
"""

import triton
import triton.language as tl


@triton.jit
def partner_of(at: tl.tensor, span: tl.tensor, n: tl.tensor) -> tl.tensor:
    """Return the partner of an element of the references, or of several."""
    return at // n // span * span + at % span  # span * n may need 64 bits


@triton.jit
def partners_of(start: tl.tensor, span: tl.tensor, n: tl.tensor, SHORT: tl.constexpr, BLOCK: tl.constexpr) -> tl.tensor:
    """Return the partners of the BLOCK elements of the references from `start`, an int64.

    Unlike in `partner_of`, no element is divided by a number of 64 bits, which takes as long as reading it from memory.
    SHORT says that a span is shorter than a block; else a block has elements of one or of two.
    """
    t = tl.arange(0, BLOCK)
    row, first = start // span, start % span
    if SHORT:
        place = first.to(tl.int32) + t
        rows = (row % n).to(tl.int32) + place // span.to(tl.int32)
        outer = row // n + rows // n.to(tl.int32)
        return outer * span + place % span.to(tl.int32)
    place = first + t
    beyond = place >= span
    outer = tl.where(beyond, (row + 1) // n, row // n)
    return outer * span + tl.where(beyond, place - span, place)


@triton.jit
def quotient(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    """Return a / b, rounded as IEEE 754 says; Triton's own division of float32 is some units off."""
    if a.dtype == tl.float32:
        return tl.div_rn(a, b)
    return a / b
