"""Windows of a reference against slices written out by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.prediction.changed_windows.memory_layout import channels_last
from seqlight.prediction.changed_windows.windows import PlainWindows, cut, fit, join


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 3), st.integers(2, 12), st.data())
def test_windows_anywhere(axis, length, data):
    shape = [1, 2, 3, 2]
    shape[axis] = length
    width = data.draw(st.integers(1, length))
    starts = torch.tensor(data.draw(st.lists(st.integers(0, length - width), min_size=1, max_size=4)))
    reference = torch.arange(float(torch.Size(shape).numel())).view(shape)
    values = -1 - torch.rand([len(starts), *shape[1:axis], width, *shape[axis + 1 :]])
    one = PlainWindows(reference, values, starts, axis)
    full = reference.repeat(len(starts), 1, 1, 1)
    for row, start in enumerate(starts):
        full[row].narrow(axis - 1, int(start), width).copy_(values[row])
    assert torch.equal(one.whole(), full)
    assert one.shape == full.shape
    assert one.width == width
    assert one.length == length
    other = data.draw(st.integers(1, length))
    begins = torch.tensor([data.draw(st.integers(0, length - other)) for _ in starts])
    for row, begin in enumerate(begins):
        wanted = full[row].narrow(axis - 1, int(begin), other)
        assert torch.equal(one.at(begins, other)[row], wanted)
        there = reference[0].narrow(axis - 1, int(begin), other)
        assert torch.equal(cut(reference, axis, begins, other)[row], there)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 12), st.data())
def test_channels_side_by_side_give_the_same(length, data):
    width = data.draw(st.integers(1, length))
    starts = torch.tensor(data.draw(st.lists(st.integers(0, length - width), min_size=1, max_size=4)))
    reference, values = torch.rand(1, 3, length), torch.rand(len(starts), 3, width)
    plain = PlainWindows(reference, values, starts, 2)
    beside = PlainWindows(channels_last(reference), channels_last(values), starts, 2)
    assert torch.equal(beside.whole(), plain.whole())
    assert torch.equal(beside.change(), plain.change())
    other = data.draw(st.integers(1, length))
    begins = torch.tensor([data.draw(st.integers(0, length - other)) for _ in starts])
    assert torch.equal(beside.at(begins, other), plain.at(begins, other))


def test_windows_that_cover_others():
    starts, width = fit(torch.tensor([-3, 5, 18]), torch.tensor([2, 9, 25]), 20)
    assert starts.tolist() == [0, 5, 16]
    assert width == 4
    assert fit(torch.tensor([0]), torch.tensor([19]), 20) is None
    whole = torch.zeros(1, 1, 20)
    a = PlainWindows(whole, torch.ones(2, 1, 3), torch.tensor([0, 9]), 2)
    b = PlainWindows(whole, torch.ones(2, 1, 2), torch.tensor([2, 8]), 2)
    starts, width = join([a, b])
    assert starts.tolist() == [0, 8]
    assert width == 4
    assert join([a, PlainWindows(torch.zeros(1, 1, 21), b.values, b.starts, 2)]) is None


def test_wide_windows_are_cut_alike():
    reference, starts = torch.rand(1, 3, 400, 2), torch.tensor([0, 7, 260])
    for axis, one in ((2, reference), (3, reference.transpose(2, 3))):
        found = cut(one, axis, starts, 140)
        for row, start in enumerate(starts.tolist()):
            assert torch.equal(found[row], one[0].narrow(axis - 1, start, 140))


def test_a_window_within_a_wider_one_is_a_view_of_it():
    one = PlainWindows(torch.rand(1, 2, 50), torch.rand(2, 2, 3), torch.tensor([10, 20]), 2)
    wider = one.at(torch.tensor([5, 15]), 20)
    assert one.at(torch.tensor([8, 18]), 9).data_ptr() == wider[:, :, 3:].data_ptr()
    assert torch.equal(one.at(torch.tensor([8, 18]), 9), one.whole()[:, :, 8:27].unfold(2, 9, 10)[[0, 1], :, [0, 1]])
