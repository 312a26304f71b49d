import numpy as np
import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight.seqlets.cuts import cut_seqlets
from seqlight.seqlets.modisco.caller import tfmodisco_seqlets
from seqlight.seqlets.recursive.caller import recursive_seqlets

COMPLEMENT = dict(zip("ACGTN", "TGCAN", strict=True))


def intervals(*rows, **columns):
    table = pd.DataFrame(rows, columns=["example_idx", "start", "end"]).astype("int64")
    return table.assign(**columns)


@pytest.fixture
def X():
    return sl.random_one_hot((3, 4, 30), random_state=0)


def reverse_complement(text):
    return "".join(COMPLEMENT[letter] for letter in reversed(text))


def test_cuts_equal_slices(X):
    seqlets, hypothetical = intervals((2, 3, 8), (0, 25, 30), (0, 0, 5)), torch.randn(3, 4, 30)
    cut = cut_seqlets(X, seqlets, hypothetical)
    pd.testing.assert_frame_equal(cut.seqlets, seqlets)
    assert cut.one_hot.dtype == X.dtype
    assert cut.hypothetical.dtype == hypothetical.dtype
    for row, (example, start, end) in enumerate(seqlets.itertuples(index=False)):
        assert torch.equal(cut.one_hot[row], X[example, :, start:end])
        assert torch.equal(cut.hypothetical[row], hypothetical[example, :, start:end])
        assert torch.equal(cut.contributions[row], (X * hypothetical)[example, :, start:end])
    bare = cut_seqlets(X.numpy(), seqlets)
    assert torch.equal(bare.one_hot, cut.one_hot)
    assert bare.contributions is None
    assert bare.hypothetical is None


def test_tables_of_both_callers_can_be_cut():
    X = sl.random_one_hot((5, 4, 200), random_state=0)
    hypothetical = torch.from_numpy(np.random.RandomState(0).laplace(size=X.shape)) / 10
    hypothetical[:, :, 90:100] += 2
    track = (X * hypothetical).sum(dim=1)
    wide = cut_seqlets(X, tfmodisco_seqlets(track), hypothetical)
    assert wide.one_hot.shape == (len(wide.seqlets), 4, 41)
    found = recursive_seqlets(track)
    assert len(found)
    listed = cut_seqlets(X, found, hypothetical, lengths="list")
    sums = [float(one.sum()) for one in listed.contributions]
    np.testing.assert_allclose(sums, found["attribution"], rtol=1e-6)


def test_seqlets_of_different_lengths(X):
    seqlets = intervals((0, 3, 8), (1, 0, 2))
    with pytest.raises(sl.InputError, match="2 to 5 positions: choose"):
        cut_seqlets(X, seqlets)
    listed = cut_seqlets(X, seqlets, X, lengths="list")
    assert [one.shape for one in listed.one_hot] == [(4, 5), (4, 2)]
    assert torch.equal(listed.contributions[1], X[1, :, :2])
    padded = cut_seqlets(X, seqlets, lengths="pad").one_hot
    assert padded.shape == (2, 4, 5)
    assert torch.equal(padded[1, :, :2], X[1, :, :2])
    assert not padded[1, :, 2:].any()
    wide = cut_seqlets(X, seqlets, width=8, beyond="shift")
    assert wide.one_hot.shape == (2, 4, 8)
    assert wide.seqlets[["start", "end"]].to_numpy().tolist() == [[1, 9], [0, 8]]


def test_windows_beyond_an_example(X):
    seqlets = intervals((0, 0, 3), (1, 28, 30), (2, 10, 14))
    with pytest.raises(sl.InputError, match="row 0, -2 to 4, sticks out"):
        cut_seqlets(X, seqlets, width=6)
    filled = cut_seqlets(X, seqlets, width=6, beyond="zeros").one_hot
    assert sl.characters(filled, allow_N=True) == [
        "NN" + sl.characters(X[0, :, :4]),
        sl.characters(X[1, :, 26:]) + "NN",
        sl.characters(X[2, :, 9:15]),
    ]
    dropped = cut_seqlets(X, seqlets, width=6, beyond="drop")
    assert dropped.seqlets["example_idx"].tolist() == [2]
    assert torch.equal(dropped.one_hot, filled[2:])
    shifted = cut_seqlets(X, seqlets, width=6, beyond="shift")
    assert shifted.seqlets["start"].tolist() == [0, 24, 9]


@pytest.mark.parametrize("lengths", ["pad", "list"])
def test_each_seqlet_is_reverse_complemented_by_itself(X, lengths):
    seqlets = intervals((0, 3, 8), (1, 0, 2), (2, 7, 11), strand=["-", "+", "-"])
    hypothetical = torch.randn(3, 4, 30)
    cut = cut_seqlets(X, seqlets, hypothetical, lengths=lengths, orient_by="strand")
    for row, (example, start, end, strand) in enumerate(seqlets.itertuples(index=False)):
        text = sl.characters(X[example, :, start:end])
        width = end - start
        assert sl.characters(cut.one_hot[row][:, :width]) == (reverse_complement(text) if strand == "-" else text)
        part = hypothetical[example, :, start:end]
        assert torch.equal(cut.hypothetical[row][:, :width], part.flip(0, 1) if strand == "-" else part)
        assert not cut.one_hot[row][:, width:].any()


def test_a_reverse_complemented_window_has_its_padding_on_the_other_side(X):
    cut = cut_seqlets(X, intervals((0, 0, 2), strand=["-"]), width=6, beyond="zeros", orient_by="strand")
    assert sl.characters(cut.one_hot, allow_N=True) == [reverse_complement(sl.characters(X[0, :, :4])) + "NN"]


@pytest.mark.parametrize("options", [{}, {"lengths": "pad"}, {"lengths": "list"}, {"width": 7}])
def test_nothing_to_cut(X, options):
    cut = cut_seqlets(X, intervals(), X, **options)
    assert len(cut.one_hot) == len(cut.contributions) == len(cut.seqlets) == 0


def test_gradients_pass():
    X = sl.random_one_hot((1, 4, 10), random_state=0)
    hypothetical = torch.ones(1, 4, 10, requires_grad=True)
    cut_seqlets(X, intervals((0, 2, 4)), hypothetical).contributions.sum().backward()
    assert torch.equal(hypothetical.grad[:, :, 2:4], X[:, :, 2:4].float())
    assert hypothetical.grad.sum() == 2


@pytest.mark.parametrize(
    ("seqlets", "options", "message"),
    [
        (intervals((3, 0, 2)), {}, "example_idx outside 0 to 2"),
        (intervals((0, 0, 2)), {"lengths": "short"}, "lengths is 'short'"),
        (intervals((0, 0, 2)), {"orient_by": "strand"}, "no column 'strand'"),
        (intervals((0, 0, 2), strand=["."]), {"orient_by": "strand"}, "other entries"),
        (intervals((0, 0, 2)), {"hypothetical": torch.zeros(3, 4, 29)}, "expected the same"),
        (intervals((0, 0, 2)), {"hypothetical": "all"}, "hypothetical is a str"),
        (None, {}, "seqlets is None: expected a pandas.DataFrame"),
    ],
)
def test_invalid_arguments(X, seqlets, options, message):
    with pytest.raises(sl.InputError, match=message):
        cut_seqlets(X, seqlets, **options)
