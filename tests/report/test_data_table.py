import json
import math
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from seqlight.report import data_table
from seqlight.report.data_table import MOST_ROWS, SHOWN, DataTable, cell_text

TABLE = pd.DataFrame(
    {
        "row": np.arange(5),
        "name": ["peak_10", "peak_9", "</script><b>", None, "chr1:5"],
        "output": [0.123456789, -3.0, np.nan, np.inf, 2e-7],
        "largest at": [12000, 5, 7, 5, 3],
        "good": [True, False, True, False, True],
    }
)


def in_script(code, table=TABLE, **options):
    """Return what an expression about `content` and the functions of `script` gives."""
    node = shutil.which("node") or shutil.which("nodejs")
    if node is None:
        pytest.skip("there is no Node.js")
    path = data_table.__file__.replace(".py", ".js")
    source = f"""const script = require({json.dumps(path)}), content = JSON.parse(require("fs").readFileSync(0));
const rows = (filter, sort) => script.select(content, filter, sort ?? null).map((row) => row[0]);
console.log(JSON.stringify({code}));"""
    content = str(DataTable(table, "", **options).content())
    done = subprocess.run([node, "-e", source], input=content, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_content_can_stand_in_a_script():
    content = str(DataTable(TABLE, "").content())
    assert "<" not in content
    found = json.loads(content)
    assert [one["name"] for one in found["columns"]] == list(TABLE)
    assert [one["number"] for one in found["columns"]] == [True, False, True, True, False]
    assert found["rows"][2] == [2, "</script><b>", None, 7, "yes"]
    assert found["rows"][3][1:3] == [None, None]
    assert found["rows"][0][2] == 0.123457


def test_the_first_rows_are_there_without_a_script():
    table = pd.DataFrame({"row": np.arange(40), "locus": ["chr1:1-2 (+)"] * 40})
    shown = DataTable(table, "Rows.", {"row": {3: "#row-3"}}, {"locus": "https://a.b/?at={}"})
    cells = shown.first_rows()
    assert len(cells) == SHOWN
    assert [row[0].link for row in cells[:4]] == ["", "", "", "#row-3"]
    assert cells[0][1].link == "https://a.b/?at=chr1%3A1-2%20%28%2B%29"
    assert shown.note == "Rows."


def test_a_long_table_is_cut_and_says_so():
    table = pd.DataFrame({"row": np.arange(MOST_ROWS + 5)})
    shown = DataTable(table, "All.")
    assert shown.note == "All. The first 10,000 of 10,005 rows are in this page."
    assert len(json.loads(str(shown.content()))["rows"]) == MOST_ROWS


def test_long_texts_are_cut():
    (row,) = json.loads(str(DataTable(pd.DataFrame({"name": ["x" * 200]}), "").content()))["rows"]
    assert len(row[0]) == 80
    assert row[0].endswith("…")


def test_an_empty_table():
    shown = DataTable(pd.DataFrame({"row": [], "name": []}), "None.")
    assert shown.first_rows() == []
    assert in_script("rows('')", pd.DataFrame({"row": [], "name": []})) == []


def test_texts_are_those_of_the_script():
    rng = np.random.RandomState(0)
    numbers = [0, -1, 12345, -7.5, 1e-4, 0.1, 999999.4, 3e9, 1e15, 0.2500001]
    numbers += (rng.normal(size=60) * 10.0 ** rng.randint(-9, 9, 60)).tolist()
    shown = in_script(f"{json.dumps(numbers)}.map(script.text)")
    assert shown == [cell_text(number) for number in numbers]
    for number, text in zip(numbers, shown, strict=True):
        assert math.isclose(float(text.replace(",", "")), number, rel_tol=6e-4)


def test_rows_are_sorted():
    code = """[[0, false], [2, false], [2, true], [1, false], [3, true]].map(
        ([column, descending]) => rows('', {column, descending}))"""
    by_row, rising, falling, names, equal = in_script(code)
    assert by_row == [0, 1, 2, 3, 4]
    # What is missing comes last in both directions.
    assert rising == [1, 4, 0, 2, 3]
    assert falling == [0, 4, 1, 2, 3]
    # Numbers within names count as numbers.
    assert names.index(1) < names.index(0)
    assert names[-1] == 3
    # Rows that are equal stay in their order.
    assert equal == [0, 2, 1, 3, 4]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("PEAK", [0, 1]),
        ("peak 10", [0]),
        ("output>0", [0, 4]),
        ("output<=-3", [1]),
        ("output>0 largest>100", [0]),
        ("largestat=5", [1, 3]),
        ("largest>=12,000", [0]),
        ("good=yes row>0", [2, 4]),
        ("chr1:5", [4]),
        ("<b>", [2]),
        (">5", []),
        ("nothing<5", []),
        ("output>", [0, 1, 2, 3, 4][:0]),
        (".*", []),
    ],
)
def test_rows_are_filtered(filter, expected):
    assert in_script(f"rows({json.dumps(filter)})") == expected


def test_cells_are_escaped_and_linked():
    code = "[['<a>', 1], [3, 0], [null, 0]].map(([value, column]) => script.cell(value, content.columns[column]))"
    text, link, missing = in_script(code, links={"row": {3: "#row-3"}}, urls={})
    assert text == "<td>&lt;a&gt;</td>"
    assert link == '<td class="number"><a href="#row-3">3</a></td>'
    assert missing == '<td class="number">\N{EN DASH}</td>'


def test_ten_thousand_rows_are_filtered_and_sorted_quickly():
    table = pd.DataFrame({"row": np.arange(MOST_ROWS), "output": np.random.RandomState(0).normal(size=MOST_ROWS)})
    code = """(() => {
        const start = Date.now(), n = rows('output>0', {column: 1, descending: true}).length;
        return [n, Date.now() - start];
    })()"""
    n, milliseconds = in_script(code, table)
    assert n == int((table["output"].round(6) > 0).sum())
    assert milliseconds < 500
