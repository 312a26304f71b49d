"""Windows of each row's own in compiled loops, against their twins in PyTorch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.native.library import library
from seqlight.prediction.changed_windows import native_windows
from seqlight.prediction.changed_windows.memory_layout import channels_last
from seqlight.prediction.changed_windows.windows import PlainWindows, cut, plus_reference

pytestmark = pytest.mark.skipif(library() is None, reason="no compiled loops")


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 5), st.integers(2, 20), st.sampled_from([torch.float32, torch.float64]), st.data())
def test_loops_give_what_pytorch_gives(rows, length, dtype, data):
    width, size = data.draw(st.integers(1, length)), data.draw(st.integers(1, length))
    starts = torch.tensor([data.draw(st.integers(0, length - width)) for _ in range(rows)])
    begins = torch.tensor([data.draw(st.integers(0, length - size)) for _ in range(rows)])
    reference = channels_last(torch.rand(1, 3, length, dtype=dtype))
    values = channels_last(torch.rand(rows, 3, width, dtype=dtype))
    assert native_windows.suits(values, reference, starts, begins)
    there = cut(reference, 2, starts, width)
    assert torch.equal(plus_reference(values, reference, 2, starts), values + there)
    assert torch.equal(plus_reference(values, reference, 2, starts, -1), values - there)
    one = values.clone()
    assert plus_reference(one, reference, 2, starts, -1, in_place=True).data_ptr() == one.data_ptr()
    assert torch.equal(one, values - there)
    whole = PlainWindows(reference, values, starts, 2).whole()
    found = native_windows.wider(values, starts, reference, begins, size)
    for row, begin in enumerate(begins.tolist()):
        assert torch.equal(found[row], whole[row, :, begin : begin + size])


def test_other_windows_are_left_to_pytorch(monkeypatch):
    values, reference, starts = channels_last(torch.rand(2, 3, 4)), channels_last(torch.rand(1, 3, 9)), torch.arange(2)
    assert native_windows.suits(values, reference, starts)
    assert not native_windows.suits(values, reference, starts, torch.tensor([0]))
    assert not native_windows.suits(values[:1], reference, starts[:1])
    assert not native_windows.suits(values.contiguous(), reference, starts)
    assert not native_windows.suits(values[:, :, 1:], reference, starts)
    assert not native_windows.suits(values.half(), reference.half(), starts)
    monkeypatch.setattr(native_windows, "library", lambda: None)
    assert not native_windows.suits(values, reference, starts)
    wider = PlainWindows(reference, values, starts, 2).at(torch.tensor([1, 3]), 5)
    assert torch.equal(wider[1, :, :2], values[1, :, 2:])
    assert torch.equal(wider[1, :, 2:], reference[0, :, 5:8])
