import numpy as np
import pytest
from matplotlib.figure import Figure

from seqlight.errors import InputError
from seqlight.plot.logo import plot_logo


def test_current_axes_are_the_default(current_ax):
    assert plot_logo(np.eye(4)) is current_ax


@pytest.mark.parametrize("n_cols", [1, 2])
def test_axes_are_labelled_at_the_edges_of_a_grid(n_cols):
    axes = Figure().subplots(2, n_cols, squeeze=False)
    for one in axes.flat:
        plot_logo(np.eye(4), one)
    assert [one.get_xlabel() for one in axes.flat] == [""] * n_cols + ["position"] * n_cols
    assert [one.get_ylabel() for one in axes.flat] == (["attribution"] + [""] * (n_cols - 1)) * 2


def test_existing_axis_labels_are_kept(ax):
    ax.set(xlabel="here", ylabel="there")
    plot_logo(np.eye(4), ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("here", "there")


@pytest.mark.parametrize(
    "draw",
    [
        "from seqlight.plot.logo import plot_logo; plot_logo(np.eye(4), Figure().subplots())",
        "from seqlight.plot.tracks import plot_tracks; plot_tracks(np.eye(4), np.ones(4))",
        "from seqlight.plot.logo_stack import plot_logos; plot_logos(np.eye(4)[None])",
    ],
)
def test_pyplot_is_loaded_only_for_its_current_axes(python, draw):
    code = f"import sys, numpy as np; from matplotlib.figure import Figure; {draw}\n"
    done = python("-c", code + "print('matplotlib.pyplot' in sys.modules)")
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize(
    ("ax", "message"),
    [
        (Figure(), r"`ax` is a Figure.*`figure\.subplots\(\)`"),
        (np.array([1]), "`ax` is an ndarray.*pick one"),
        ("main", "`ax` is a str.*leave it out"),
    ],
)
def test_other_objects_than_axes_are_refused(ax, message):
    with pytest.raises(InputError, match=message):
        plot_logo(np.eye(4), ax)
