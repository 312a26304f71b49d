import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.lit.window_outputs import cut_output, select_track

WINDOW, TILE = 12, 5


def filled(*shape):
    return torch.arange(torch.Size(shape).numel()).reshape(shape)


def places(positions, window=WINDOW, tile=TILE):
    """Where the tile is in an output that lies in the middle of the window."""
    begins = (window - positions) // 2
    return [i for i in range(positions) if (window - tile) // 2 <= begins + i < (window - tile) // 2 + tile]


@pytest.mark.reliability(
    "tracks",
    "predictions of a shape that can be read in two ways, such as (rows, 600): positions, or tasks",
    "refused, with both readings and the argument that says which; nothing is guessed",
)
@pytest.mark.parametrize(
    ("shape", "readings"),
    [
        ((2, 5), "5 positions along each window, or 5 numbers for it: say which with positions=1 or 'none'"),
        ((2, 12), "12 positions along each window, or 12 numbers"),
        ((2, 6, 12), "6 or 12 positions along each window: say which with positions=1 or 2"),
        ((2, 9, 4), "9 positions along each window, or 9 tracks of 4 bins, .* positions=1 for the former"),
        ((2, 9, 1), "9 positions along each window, or 9 tracks of 1 bins"),
        ((2, 1, 3), "3 numbers for each window, or a track of 3 bins, .* positions='none'"),
        ((2, 3, 1), "3 numbers for each window"),
    ],
)
def test_a_shape_that_leaves_two_readings_is_asked_about(shape, readings):
    with pytest.raises(sl.InputError, match=readings):
        cut_output(filled(*shape), WINDOW, TILE)
    if len(shape) == 3:
        with pytest.raises(sl.InputError, match=readings):
            select_track(filled(*shape), 0, WINDOW, TILE)


@pytest.mark.parametrize(
    ("shape", "positions", "result"),
    [
        ((2,), None, (2, 1)),
        ((2, 1), None, (2, 1)),
        ((2, 1, 1), None, (2, 1)),
        ((2, 4), None, (2, 4, 1)),
        ((2, 1, 8), None, (2, 5)),
        ((2, 3, 8), None, (2, 3, 5)),
        ((2, 40, 8), None, (2, 40, 5)),
        ((2, 8), "none", (2, 8, 1)),
        ((2, 40), "none", (2, 40, 1)),
        ((2, 40, 1), "none", (2, 40, 1)),
        ((2, 1, 3), "none", (2, 3, 1)),
        ((2,), "none", (2, 1)),
    ],
)
def test_what_is_made_of_other_shapes(shape, positions, result):
    output = filled(*shape)
    found = cut_output(output, WINDOW, TILE, positions)
    assert found.shape == result
    if result[-1] == 1:
        assert torch.equal(found.flatten(), output.flatten())
    else:
        assert torch.equal(found.flatten(), output[..., places(8)].flatten())


@given(st.integers(1, 3), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.integers(1, 30), st.booleans())
def test_the_middle_is_cut_along_the_dimension_that_is_said(rows, tracks, window, tile, positions, turned):
    tile, positions = sorted([min(tile, window), min(positions, window)])
    output = filled(rows, positions, tracks) if turned else filled(rows, tracks, positions)
    found = cut_output(output, window, tile, 1 if turned else 2)
    wanted = [[[int((row.T if turned else row)[k, i]) for i in places(positions, window, tile)] for k in range(tracks)]
              for row in output]  # fmt: skip
    assert found.reshape(rows, tracks, tile).tolist() == wanted


@pytest.mark.parametrize(
    ("shape", "index", "positions", "expected"),
    [
        ((2, 3, 8), 1, None, lambda y: y[:, 1]),
        ((2, 3, 8), -1, 2, lambda y: y[:, 2]),
        ((2, 8, 3), 2, 1, lambda y: y[..., 2]),
        ((2, 7, 8), 6, 2, lambda y: y[:, 6]),
        ((2, 8), 7, None, lambda y: y[:, 7]),
        ((2, 8, 1), 7, "none", lambda y: y[:, 7, 0]),
        ((2, 1, 8), 7, "none", lambda y: y[:, 0, 7]),
    ],
)
def test_one_track_is_chosen_beside_the_positions(shape, index, positions, expected):
    output = filled(*shape)
    chosen = select_track((None, output), index, WINDOW, TILE, positions, head=1)
    wanted = expected(output)
    if wanted.ndim == 2:
        wanted = wanted[:, places(8)]
    assert torch.equal(cut_output(chosen, WINDOW, TILE, positions).flatten(), wanted.flatten())


@pytest.mark.parametrize(
    ("shape", "positions", "said"),
    [
        ((2, 40), None, r"\(2, 40\): expected a number for each window"),
        ((2, 3, 4), None, "with 5 to 12 positions"),
        ((2, 3, 8, 2), None, "expected a number"),
        ((2, 8), 2, r"\(2, 8\) and positions is 2"),
        ((2, 3, 4), 2, r"\(2, 3, 4\) and positions is 2"),
        ((2, 3, 4), "none", r"\(2, 3, 4\), and positions is 'none'"),
        ((), "none", "and positions is 'none'"),
    ],
)
def test_shapes_that_cannot_be_cut(shape, positions, said):
    with pytest.raises(sl.InputError, match=said):
        cut_output(filled(*shape), WINDOW, TILE, positions)


@pytest.mark.parametrize(("shape", "index", "positions"), [((2, 3, 8), 3, None), ((2, 8), 0, 1), ((2,), 0, None)])
def test_tracks_that_are_not_there(shape, index, positions):
    with pytest.raises(sl.InputError, match=f"track {index} is asked for, and the output has shape"):
        select_track(filled(*shape), index, WINDOW, TILE, positions)
