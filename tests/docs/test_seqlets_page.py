"""The page about seqlets: it runs, prints what it says, and its numbers are those that were measured."""

import json
from pathlib import Path

import pytest

from .conftest import DOCS

for needed in ("memelite", "pyjaspar", "pyBigWig"):
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


def test_speeds_are_those_that_were_measured():
    results = Path(__file__).parents[2] / "benchmarks" / "results"
    recursive = json.loads((results / "speed_recursive.json").read_text())
    warm, first = recursive["warm"]["threads_2"], recursive["first_call"]
    windows = json.loads((results / "speed_modisco.json").read_text())["inputs"]["10000 x 2114"]
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
