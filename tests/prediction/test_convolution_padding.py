"""The padding of a convolution adds to its input what PyTorch adds."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.prediction.convolution_padding import even_padding, padded_sides


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@given(st.data(), st.integers(1, 2))
def test_the_same_is_added_as_by_pytorch(data, n):
    sizes, dilation = (data.draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)) for _ in range(2))
    one = st.integers(0, 4)
    each = st.lists(one, min_size=n, max_size=n)
    padding = data.draw(st.one_of(st.sampled_from(["same", "valid"]), one, st.tuples(one), each))
    x, weight = torch.randn(2, 3, *[13] * n), torch.randn(2, 3, *sizes)
    sides = padded_sides(padding, sizes, dilation)
    by_hand = F.pad(x, [number for side in reversed(sides) for number in side])
    convolve = (F.conv1d, F.conv2d)[n - 1]
    given = padding if isinstance(padding, str) else tuple(side.before for side in sides)
    expected = convolve(x, weight, padding=given, dilation=dilation)
    assert torch.allclose(convolve(by_hand, weight, dilation=dilation), expected, atol=1e-5)
    both = even_padding(padding, sizes, dilation)
    assert (both is None) == any(before != after for before, after in sides)
    assert both is None or torch.allclose(convolve(x, weight, padding=both, dilation=dilation), expected, atol=1e-5)


def test_an_unknown_word_has_no_padding():
    assert padded_sides("reflect", (3,), (1,)) is even_padding("reflect", (3,), (1,)) is None
