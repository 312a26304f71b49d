"""The page about seqlets: it runs, prints what it says, and its numbers are those that were measured."""

import json
from pathlib import Path

import pytest

from .conftest import DOCS

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"

for needed in ("pyjaspar", "pyBigWig"):
    pytest.importorskip(needed)


@pytest.fixture(scope="module")
def page(run_page):
    return run_page("seqlets.md")


def test_what_is_printed_is_what_comes_out(page):
    assert len(page[0].printed) >= 10
    assert page[0].printed == page[0].written


def test_the_files_are_there(page):
    left = {path.name for path in page[1].iterdir()}
    assert left == {"seqlets.bed", "attributions.bw", "seqlets.fa", "motif.meme", "modisco"}


def test_rates_are_those_that_came_out():
    study = json.loads((RESULTS / "study_calibration.json").read_text())
    planted = [row for rows in study["with_sites"].values() for row in rows if row["target_fdr"] == 0.1]
    low, high = (100 * pick(row["false"] for row in planted) for pick in (min, max))
    assert f"between {low:.1f} and {high:.1f} % of the calls were false" in " ".join(
        (DOCS / "seqlets.md").read_text().split()
    )
    for kind in ("with_sites", "without_sites"):
        for row in (row for rows in study[kind].values() for row in rows):
            assert row["false"] <= row["target_fdr"] + 2 * row["standard_error"]


def test_speeds_are_those_that_were_measured():
    recursive = json.loads((RESULTS / "speed_recursive.json").read_text())
    warm, first = recursive["warm"]["threads_2"], recursive["first_call"]
    windows = json.loads((RESULTS / "speed_modisco.json").read_text())["inputs"]["10000 x 2114"]
    assert table_rows() == [
        ["`recursive_seqlets`, positive", seconds(warm["seqlight_s"]), seconds(warm["tangermeme_s"]), ""],
        ["`recursive_seqlets`, both signs", seconds(warm["seqlight_both_sides_s"]), "", ""],
        [
            "the same, first call of a process",
            f"{first['seqlight_both_sides']['seconds']:.2f}",
            f"{first['tangermeme']['seconds']:.1f} (positive)",
            "",
        ],
        [
            "`tfmodisco_seqlets`",
            seconds(windows["threads_2"]["seqlight_s"]),
            f"{windows['tangermeme_once_s']:.1f}",
            seconds(windows["threads_2"]["modisco-lite_s"]),
        ],
    ]


def seconds(timing):
    return f"{timing['least']:.2f}"


def table_rows():
    lines = (DOCS / "seqlets.md").read_text().partition("## How fast")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]
