"""The table of the README says what the pages of the studies say."""

import re

import pytest
from harness import read_results
from pages import DOCS
from peers_table import judge_architectures, peers_table, verdicts_of_operations


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def table():
    return [cells(line) for line in peers_table()]


def test_every_row_has_a_cell_for_each_package(table):
    assert {len(row) for row in table} == {5}


@pytest.mark.parametrize(("row", "column"), [(2, 1), (3, 4)], ids=["complete", "wrong in silence"])
def test_operations_are_counted_as_on_their_page(table, row, column):
    page = (DOCS / "studies" / "operations.md").read_text()
    for i, name in enumerate(("seqlight", "tangermeme", "Captum's DeepLift", "shap's DeepExplainer")):
        (line,) = re.findall(rf"^\| {name} \| \d+ \|.*$", page, flags=re.MULTILINE)[:1]
        assert table[row][i + 1].replace(",", "") == cells(line)[column]


def test_every_case_has_a_verdict_that_is_known():
    known = {"complete", "approximate", "wrong and warned", "wrong in silence", "refused", "error"}
    assert {
        one for column in verdicts_of_operations(read_results("study_operations")).values() for one in column
    } <= known


def test_architectures_are_counted_as_on_their_page(table):
    page = (DOCS / "studies" / "architectures.md").read_text()
    trained = page.partition("### Trained")[2].partition("###")[0]
    rows = [cells(line) for line in trained.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 22
    for i in range(4):
        column = [row[i + 2] for row in rows]
        assert table[4][i + 1] == str(column.count("complete"))
        assert table[5][i + 1] == str(sum(cell.startswith("**") for cell in column))


def test_an_architecture_that_mixes_rows_is_wrong_whatever_it_misses():
    results = {
        "cells": [
            {"model": f"{name}: trained", "implementation": "one", "status": "ok", "verdict": "silent", "miss": 1e-9}
            for name in ("A", "B")
        ],
        "mixed rows": {"B: trained": 0.1},
    }
    assert judge_architectures(results, "one") == ["complete", "wrong in silence"]
