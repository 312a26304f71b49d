"""The bars of a ledger: what is drawn, and what is refused."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

import seqlight as sl
from seqlight.plot.ledger_bars import BAND, CUT, KINDS, MODULE, PART

TABLE = pd.DataFrame(
    [
        ("stem", "", 1.0, 0.0, True),
        ("body.branch", "", 0.25, 0.125, False),
        ("body", "branch 0 (stem)", 0.75, 0.125, False),
        ("body", "branch 1 (body.branch)", 0.25, 0.125, False),
        ("body", "", 1.0, 0.0, True),
        ("", "sum 0, branch 0", 1.5, np.nan, False),
        ("", "sum 0, branch 1", -0.5, np.nan, False),
        ("$head_1$", "", 1.0, 0.0, True),
    ],
    columns=["layer", "part", "share", "standard_error", "complete"],
)


def bars(ax):
    """Return the width and the colour of each bar, from above."""
    found = [(one.get_y(), one.get_width(), one.get_facecolor()) for box in ax.containers[:3] for one in box]
    return [(width, color) for _, width, color in sorted(found, key=lambda one: round(one[0]))]


def drawn(table=TABLE, **options):
    ax = Figure(figsize=(6, 3)).subplots()
    assert sl.plot_ledger(table, ax, **options) is ax
    return ax


def labels(ax):
    return [one.get_text() for one in ax.get_yticklabels()]


def test_bars_are_shares_in_the_order_of_the_calls():
    from matplotlib.colors import to_rgba

    ax = drawn()
    kinds = [CUT, MODULE, PART, PART, CUT, PART, PART, CUT]
    assert bars(ax) == [
        (share, to_rgba(KINDS[kind]["color"])) for share, kind in zip(TABLE["share"], kinds, strict=True)
    ]
    assert labels(ax) == [
        "stem",
        "body.branch",
        "body: branch 0 (stem)",
        "body: branch 1 (body.branch)",
        "body",
        "sum 0, branch 0",
        "sum 0, branch 1",
        "$head_1$",
    ]
    assert ax.yaxis_inverted()
    assert [one.get_text() for one in ax.get_legend().get_texts()] == list(KINDS)
    ax.figure.savefig(io.BytesIO())  # a name with dollar signs is no mathematics


def test_standard_errors_are_drawn_where_they_are_known():
    (lines,) = (box[2][0] for box in drawn().containers if type(box).__name__ == "ErrorbarContainer")
    ends = [segment[:, 0].tolist() for segment in lines.get_segments()]
    assert ends == [[0.125, 0.375], [0.625, 0.875], [0.125, 0.375]]


def test_parts_of_a_whole_lie_on_a_band():
    bands = [one for one in drawn().patches if one.get_facecolor()[:3] == (float(BAND),) * 3]
    assert [(one.get_y(), one.get_y() + one.get_height()) for one in bands] == [(1.5, 3.5), (4.5, 6.5)]


def test_the_largest_rows_keep_their_order():
    assert labels(drawn(top=3)) == ["body: branch 0 (stem)", "sum 0, branch 0", "sum 0, branch 1"]
    assert labels(drawn(top=100)) == labels(drawn())


def test_one_of_several_targets_and_a_table_that_was_read():
    several = pd.concat([TABLE.assign(target=0), TABLE[:2].assign(target=1)], ignore_index=True)
    assert labels(drawn(several, target=1)) == ["stem", "body.branch"]
    read = pd.read_csv(io.StringIO(several.to_csv(index=False)))  # without a part: NaN
    assert labels(drawn(read, target=1)) == ["stem", "body.branch"]
    with pytest.raises(sl.InputError, match="of 2 targets: choose one with target="):
        drawn(several)
    with pytest.raises(sl.InputError, match="`target` is 2: expected 0 or 1"):
        drawn(several, target=2)
    with pytest.raises(sl.InputError, match="`target` is 1: expected none"):
        drawn(target=1)


@pytest.mark.reliability("plots", "a ledger that is none, is empty, or has shares that are NaN", "one sentence")
@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        (TABLE.drop(columns="share"), {}, "has no column 'share'"),
        (0, {}, "is an int"),
        (TABLE[:0], {}, "is empty"),
        (TABLE.assign(share=np.nan), {}, "not finite, as where outputs do not differ"),
        (TABLE, {"top": 0}, "top is 0"),
    ],
)
def test_what_is_refused(given, options, says):
    with pytest.raises(sl.InputError, match=says):
        drawn(given, **options)


def test_an_explanation_is_drawn_and_shown_in_a_notebook():
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 2, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(32, 1))
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    found = sl.attribute(model, X, layers=True, n_shuffles=2, random_state=0, device="cpu")
    assert labels(drawn(found)) == ["0", "1", "2", "3"]
    # All of them are cuts, of which nothing is to be said.
    assert "<th>share</th>" not in found._repr_html_()
    with pytest.raises(sl.InputError, match="no layers were asked for"):
        drawn(sl.attribute(model, X, n_shuffles=2, random_state=0, device="cpu"))
