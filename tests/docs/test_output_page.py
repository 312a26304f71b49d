"""The page on files for other programs: it runs, prints what it says, and names every format and file."""

import pytest

from seqlight.exports.formats import FORMATS


@pytest.fixture(scope="module")
def page(run_page):
    return run_page("output.md")


def test_what_is_printed_is_what_comes_out(page):
    assert len(page[0].shown) == 2
    assert page[0].printed == page[0].written


def test_every_format_is_there(page):
    rows = [line.split(" | ")[0] for line in page[0].path.read_text().splitlines() if line.startswith("| `")]
    assert {name.strip("`") for row in rows for name in row.strip("| ").split(", ")} == set(FORMATS)


def test_the_files_are_there(page):
    left = {path.name for path in (page[1] / "attributions").iterdir() if not path.name.startswith(("shard", "."))}
    assert left == {
        "manifest.json", "loci.npz", "attributions.npz", "attributions.target_0.bw", "attributions.target_1.bw",
        "attributions.tsv", "modisco", "loci.bed", "sequences.fa",
    }  # fmt: skip
