from __future__ import annotations

import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight.report.page import Film, Picture, Table
from seqlight.report.ruler import Ruler
from seqlight_callbacks import AttributionCallback, AttributionRecord, SeqletCallback, report_data, report_sections
from seqlight_callbacks.history import History
from seqlight_callbacks.report_data import ReportData


def data(length=30, n=6, epochs=(0, 1), known=None, **settings):
    X = sl.random_one_hot((n, 4, length), random_state=0)
    window = settings.pop("window", None)
    attribution = AttributionCallback(X, n_shuffles=1, window=window)
    seqlets = SeqletCallback(attribution, known=known, strong=0.5, threshold=0.5)
    history = History(X)
    torch.manual_seed(0)
    for epoch in epochs:
        record = AttributionRecord(epoch, X * torch.randn(n, 1, length), torch.arange(n).float())
        attribution.record = record
        history.add_record(record)
        history.add_scalars(epoch, epoch, {"attribution/similarity": 0.5, "train_loss": 0.3, "val_loss": 0.4})
    seqlets.seqlets = sl.recursive_seqlets(attribution.record.attributions.sum(dim=1), threshold=0.5)
    return ReportData(attribution, seqlets, history, **settings)


KNOWN = pd.DataFrame({"example_idx": [5, 5, 1], "start": [2, 20, 3], "end": [8, 25, 9], "motif": ["a", "b", "a"]})


def test_best_examples_first_unless_chosen():
    assert data().shown == [5, 4, 3, 2]
    assert data(examples=(0, 1)).shown == [0, 1]


def test_known_intervals_are_shaded():
    assert data(known=KNOWN).shaded([5, 0]) == [[(2, 8), (20, 25)], []]
    assert data(window=(3, 9)).shaded([0]) == [[(3, 9)]]
    assert data().shaded([0]) == [[]]
    assert data().shading_caption == ""
    assert data(known=KNOWN, motif="sites").shading_caption == " Shaded: the sites."


def test_of_long_sequences_the_part_with_most_attribution_is_shown():
    long = data(length=500, epochs=(1,))
    X = torch.zeros(2, 4, 500)
    X[:, 0, 321], X[:, 1, 460] = 5, 9
    start, end = long.visible_range(X)
    assert end - start == report_data.MOST_POSITIONS
    assert start <= 321 < 460 < end
    film = report_sections.attribution_section(long).blocks[1]
    assert isinstance(film, Film)
    low, high = next(iter(film.frames.values())).axes[0].get_xlim()
    assert high - low == report_data.MOST_POSITIONS


@pytest.mark.parametrize("known", [None, KNOWN])
@pytest.mark.parametrize("window", [None, (3, 9)])
def test_every_section_can_be_drawn(known, window):
    one = data(known=known, window=window, ruler=Ruler(10, "the start"))
    blocks = [
        *report_sections.curves_section(one, ["train_loss", "val_loss"]).blocks,
        *report_sections.attribution_section(one).blocks,
        *report_sections.logo_section(one).blocks,
        *report_sections.seqlet_section(one).blocks,
        *report_sections.scalar_section(one, one.history.scalar_names()).blocks,
    ]
    for block in blocks:
        if isinstance(block, Picture):
            block.figure.draw_without_rendering()
        elif isinstance(block, Film):
            assert list(block.frames) == ["before training", "after epoch 1"]
            assert len({ax.get_ylim() for figure in block.frames.values() for ax in figure.axes}) == 1
    assert [type(block) for block in report_sections.attribution_section(one).blocks][:3] == [Picture, Film, Picture]


def test_the_table_of_seqlets_counts_from_zero():
    one = data(known=KNOWN, ruler=Ruler(10, "the start"))
    table = report_sections.seqlet_section(one).blocks[1]
    assert isinstance(table, Table)
    strong = one.seqlets.strong_positive()
    assert table.table["start"].tolist() == (strong["start"].head(20) - 10).tolist()
    assert set(table.table["overlaps known intervals"]) <= {"yes", "no"}
    assert "Positions count from the start" in table.caption
    row = table.table.iloc[0]
    bases = sl.characters(one.attribution.sequences[int(row["sequence"])])
    assert bases[row["start"] + 10 : row["end"] + 10] == row["bases"]


def test_curves_are_grouped_into_panels():
    line = {1: 0.5}
    names = ["train_loss", "val/loss", "valid_auroc", "loss", "lr", "train/profile_corr", "fifth"]
    panels = report_sections.group_curves(dict.fromkeys(names, line))
    assert list(panels) == ["loss", "auroc", "lr", "profile corr"]
    assert list(panels["loss"]) == ["train", "val", ""]


def test_a_film_of_many_epochs_has_the_first_and_the_last():
    many = list(range(1, 500))
    found = report_data.spread_evenly(many, 60)
    assert (found[0], found[-1], len(found), len(set(found))) == (1, 499, 60, 60)
    assert report_data.spread_evenly([3], 60) == [3]
