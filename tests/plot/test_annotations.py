import numpy as np
import pandas as pd
import pytest

from drawn_artists import visible_artists, visible_texts
from seqlight.errors import InputError
from seqlight.plot.logo import plot_logo
from toy_attributions import random_attributions, seqlet_table


def test_only_annotations_wholly_inside_are_drawn(ax):
    table = seqlet_table((19, 25, 1.0), (20, 25, 2.0), (35, 40, 3.0), (36, 41, 4.0))
    plot_logo(random_attributions(60), ax=ax, start=20, end=40, annotations=table)
    assert sorted(bar.get_x() for bar in visible_artists(ax, "_annotation bar")) == [20, 35]


def test_one_example_at_a_time(ax):
    table = pd.concat([seqlet_table((5, 10, 1.0)), seqlet_table((20, 30, 2.0), example_idx=3)])
    with pytest.raises(InputError, match=r"2 examples.*`example_idx`"):
        plot_logo(random_attributions(60), ax=ax, annotations=table)
    plot_logo(random_attributions(60), ax=ax, annotations=table, example_idx=3)
    assert [bar.get_x() for bar in visible_artists(ax, "_annotation bar")] == [20]


@pytest.mark.parametrize(
    ("table", "options", "texts"),
    [
        (seqlet_table((5, 10, 0.25)), {}, ["0.25"]),
        (seqlet_table((5, 10, 0.25)), {"show_score": False}, []),
        (seqlet_table((5, 10, 0.25), score=7.0), {}, ["0.25"]),
        (seqlet_table((5, 10, 0.25), score=7.0), {"score_key": "score"}, ["7"]),
        (pd.DataFrame({"hit": ["SP1"], "start": [5], "end": [10], "score": [7.5]}), {}, ["SP1 7.5"]),
        (pd.DataFrame({"start": [5], "end": [10], "hit": ["SP1"]}), {}, []),
        (pd.DataFrame({"start": [5], "end": [10], "hit": ["SP1"]}), {"label_key": "hit"}, ["SP1"]),
        (seqlet_table((55, 60, 0.25))[:0], {}, []),
    ],
)
def test_labels_and_scores(ax, table, options, texts):
    plot_logo(random_attributions(60), ax=ax, annotations=table, **options)
    assert visible_texts(ax, "_annotation label") == texts
    assert len(visible_artists(ax, "_annotation bar")) == len(table)


@pytest.mark.parametrize(
    ("table", "texts"),
    [
        (pd.DataFrame({"start": [5], "end": [9], "motif_name": ["SP1"]}), ["SP1"]),
        (pd.DataFrame({"example_idx": [0], "start": [5], "end": [9], "motif": ["SP1"]}), ["SP1"]),
        (pd.DataFrame({"hit": pd.Categorical(["SP1"]), "start": [5], "end": [9]}), ["SP1"]),
        (pd.DataFrame({"chrom": ["chr1"], "start": [5], "end": [9], "score": [np.nan]}), []),
        (
            pd.DataFrame({"hit": ["SP1", "YY1"], "start": [5, 25], "end": [9, 29], "strand": ["-", "+"]}),
            ["SP1 (-)", "YY1"],
        ),
        (pd.DataFrame({"motif": ["SP1"], "start": [5], "end": [9], "strand": ["-"], "motif_strand": ["+"]}), ["SP1"]),
        (pd.DataFrame({"start": [5], "end": [9], "strand": ["-"]}), []),
        (pd.DataFrame({"start": pd.array([5], "Int64"), "end": [9], "score": [2]}), ["2"]),
    ],
)
def test_default_labels_and_scores(ax, table, texts):
    plot_logo(random_attributions(60), ax=ax, annotations=table)
    assert visible_texts(ax, "_annotation label") == texts
