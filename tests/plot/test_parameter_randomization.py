import pandas as pd
import pytest
from matplotlib.figure import Figure

import seqlight as sl

TABLE = pd.DataFrame(
    {
        "layer": ["head", "$\\x$"],
        "rank_correlation": [0.4, -0.1],
        "magnitude_rank_correlation": [0.7, 0.2],
        "r": [0.5, 0.1],
    }
)


def test_each_similarity_is_a_line_that_begins_with_the_model_as_it_is():
    ax = Figure().subplots()
    assert sl.plot_parameter_randomization(TABLE, ax, threshold=0.8) is ax
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert lines["rank correlation"] == [1.0, 0.4, -0.1]
    assert lines["of magnitudes"] == [1.0, 0.7, 0.2]
    assert lines["alike from 0.8 on"] == [0.8, 0.8]
    ax.figure.canvas.draw()  # a name is not read as mathematics


@pytest.mark.parametrize(
    ("table", "threshold", "message"),
    [
        (TABLE.drop(columns="r"), None, "table has no column 'r': expected the `table` of parameter_randomization"),
        (3, None, "table is an int"),
        (TABLE, "high", "threshold"),
    ],
)
def test_what_cannot_be_drawn(table, threshold, message):
    with pytest.raises(sl.InputError, match=message):
        sl.plot_parameter_randomization(table, Figure().subplots(), threshold=threshold)
