from __future__ import annotations

import pandas as pd
import pytest

import seqlight as sl
from seqlight.report.blocks import Film, Picture, Table
from seqlight.report.ruler import Ruler
from seqlight_callbacks import report_sections
from seqlight_callbacks.report_data import MOST_POSITIONS

KNOWN = pd.DataFrame({"example_idx": [5, 5, 1], "start": [2, 20, 3], "end": [8, 25, 9], "motif": ["a", "b", "a"]})


def test_a_film_of_long_sequences_shows_a_part_of_them(report_data):
    film = report_sections.attribution_section(report_data(length=500, epochs=(1,))).blocks[1]
    assert isinstance(film, Film)
    low, high = next(iter(film.frames.values())).axes[0].get_xlim()
    assert high - low == MOST_POSITIONS


@pytest.mark.parametrize("known", [None, KNOWN])
@pytest.mark.parametrize("window", [None, (3, 9)])
def test_every_section_can_be_drawn(report_data, known, window):
    one = report_data(known=known, window=window, ruler=Ruler(10, "the start"))
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


def test_the_table_of_seqlets_counts_from_zero(report_data):
    one = report_data(known=KNOWN, ruler=Ruler(10, "the start"))
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
