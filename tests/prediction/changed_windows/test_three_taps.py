"""Convolutions of three taps by what changes, against transposed convolutions of PyTorch in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from seqlight.native.library import has_lanes, library
from seqlight.prediction.changed_windows.memory_layout import channels_last
from seqlight.prediction.changed_windows.prepared_weights import PreparedWeights
from seqlight.prediction.changed_windows.three_taps import ThreeTaps, suits

pytestmark = pytest.mark.skipif(not has_lanes(library()), reason="no loops for wide registers")
LENGTH = 200


def make(rows, channels, outputs, width, dilation, first, cut, one_start=False):
    """Return a convolution, and what it is to give, before and after a ReLU."""
    torch.manual_seed(rows + width)
    change, weight = channels_last(torch.randn(rows, channels, width)), torch.randn(outputs, channels, 3)
    whole, size = channels_last(torch.randn(1, outputs, LENGTH)), width + 2 * dilation - first - cut
    starts = torch.randint(0, LENGTH - size, (1 if one_start else rows,))
    made = ThreeTaps(change, weight, dilation, whole, starts, first, size, PreparedWeights())
    turned = weight.double().transpose(0, 1).flip(2)
    added = F.conv_transpose1d(change.double(), turned, dilation=dilation).narrow(2, first, size)
    around = torch.cat([whole[:, :, start : start + size] for start in starts.tolist()])
    return made, added, (around + added).relu() - around.relu()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(1, 33), st.integers(1, 70), st.integers(1, 60), st.booleans(), st.data())
def test_what_a_change_adds(rows, channels, outputs, width, one_start, data):
    dilation = data.draw(st.integers(1, width))
    first, cut = data.draw(st.integers(0, dilation)), data.draw(st.integers(0, dilation))
    made, added, rectified = make(rows, channels, outputs, width, dilation, first, cut, one_start)
    atol = 1e-6 * channels**0.5 * 10
    torch.testing.assert_close(made.plain().double(), added, rtol=0, atol=atol)
    torch.testing.assert_close(made.rectified().double(), rectified, rtol=0, atol=atol)
    assert made.plain().shape == made.shape


def test_a_row_is_the_same_beside_others():
    made, _, _ = make(5, 20, 40, 51, 16, 3, 2, one_start=True)
    alone = ThreeTaps(
        made.change[3:4].mT, made.weight, 16, made.whole.mT, made.starts, 3, made.shape[2], PreparedWeights()
    )
    assert torch.equal(alone.rectified()[0], made.rectified()[3])


def test_what_is_no_number_stays_so():
    made, _, _ = make(2, 16, 16, 30, 4, 0, 0)
    made.change[1, 7, 5] = torch.nan
    found = made.rectified()
    assert found[1, :, [7, 11, 15]].isnan().all()
    assert not found[0].isnan().any()


def test_weights_whose_outputs_are_needed_twice_are_noted():
    made, _, _ = make(2, 16, 16, 30, 4, 0, 0)
    made.rectified()
    assert not made.is_kept
    made.plain()
    assert made.is_kept


@pytest.mark.parametrize(
    ("change", "weight"),
    [
        ((2, 16, 3), (16, 16, 3)),
        ((2, 16, 9), (16, 16, 5)),
        ((2, 16, 9), (15, 16, 3)),
        ((2, 16, 9), (16, 16, 1, 3)),
    ],
)
def test_other_convolutions_are_left_to_pytorch(change, weight):
    whole = channels_last(torch.zeros(1, 16, 90))
    assert suits(channels_last(torch.zeros(2, 16, 9)), torch.zeros(16, 16, 3), whole, 4)
    assert not suits(channels_last(torch.zeros(change)), torch.zeros(weight), whole, 4)
    assert not suits(channels_last(torch.zeros(2, 16, 9)).double(), torch.zeros(16, 16, 3), whole, 4)
    assert not suits(torch.zeros(2, 16, 9), torch.zeros(16, 16, 3), whole, 4)
