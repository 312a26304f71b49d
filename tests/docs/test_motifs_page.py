"""The pages on files and motifs: their commands run, and print what they say."""

import pytest

for needed in ("pyjaspar", "modiscolite", "h5py"):
    pytest.importorskip(needed)


@pytest.fixture(scope="module")
def page(run_page):
    return run_page("motifs.md")


def test_what_is_printed_is_what_comes_out(page):
    assert len(page[0].shown) == 5
    assert page[0].printed == page[0].written


def test_the_files_are_those_of_the_table(page):
    folder = page[1] / "attributions" / "motifs"
    rows = [line.split("`")[1::2] for line in page[0].path.read_text().splitlines() if line.startswith("| `")]
    assert {path.name for path in folder.iterdir()} == {
        "motifs.tsv", "motifs.meme", "seqlets.tsv", "seqlets.fa", "known_motifs.tsv", "modisco.h5", "modisco.log",
        "modisco.json",
    }  # fmt: skip
    assert [row[0] for row in rows] == [
        "motifs.tsv", "motifs.meme", "seqlets.tsv", "known_motifs.tsv", "modisco.h5", "finemo/hits.tsv",
    ]  # fmt: skip
