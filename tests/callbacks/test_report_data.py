from __future__ import annotations

import pandas as pd
import torch

from seqlight_callbacks.report_data import MOST_POSITIONS, spread_evenly

KNOWN = pd.DataFrame({"example_idx": [5, 5, 1], "start": [2, 20, 3], "end": [8, 25, 9], "motif": ["a", "b", "a"]})


def test_best_examples_first_unless_chosen(report_data):
    assert report_data().shown == [5, 4, 3, 2]
    assert report_data(examples=(0, 1)).shown == [0, 1]


def test_known_intervals_are_shaded(report_data):
    assert report_data(known=KNOWN).shaded([5, 0]) == [[(2, 8), (20, 25)], []]
    assert report_data(window=(3, 9)).shaded([0]) == [[(3, 9)]]
    assert report_data().shaded([0]) == [[]]
    assert report_data().shading_caption == ""
    assert report_data(known=KNOWN, motif="sites").shading_caption == " Shaded: the sites."


def test_of_long_sequences_the_part_with_most_attribution_is_shown(report_data):
    X = torch.zeros(2, 4, 500)
    X[:, 0, 321], X[:, 1, 460] = 5, 9
    start, end = report_data(length=500, epochs=(1,)).visible_range(X)
    assert end - start == MOST_POSITIONS
    assert start <= 321 < 460 < end


def test_steps_are_spread_evenly_from_the_first_to_the_last():
    many = list(range(1, 500))
    found = spread_evenly(many, 60)
    assert (found[0], found[-1], len(found), len(set(found))) == (1, 499, 60, 60)
    assert spread_evenly([3], 60) == [3]
