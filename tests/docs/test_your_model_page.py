"""The page about a study of one's own model: its blocks run, its commands exist, and its table quotes what is said."""

import re
from pathlib import Path

import pytest

from seqlight import studies
from seqlight.cli.study_commands import study_command

from .conftest import DOCS

PAGE = (DOCS / "studies" / "your_model.md").read_text()


@pytest.fixture(scope="module")
def page(run_page, forked_workers):
    return run_page("studies/your_model.md")


def without_numbers(text):
    """Return a text without numbers: rounding differs from machine to machine, and versions change."""
    return re.sub(r" +", " ", re.sub(r"\d[\d.]*(e-\d+)?", "#", text))


def test_what_is_printed_is_what_comes_out(page):
    ran, folder = page
    assert [without_numbers(one) for one in ran.printed] == [without_numbers(one) for one in ran.written]
    assert ran.written[0].startswith("seqlight is complete on this model")
    assert "seqlight is complete" in (folder / "study.html").read_text()


def test_the_options_exist():
    options = {one.replace("-", "_") for one in re.findall(r"--([a-z][a-z-]+)", PAGE)} - {"help"}
    assert options >= {"model", "checkpoint", "data", "out", "retry"}
    assert options <= set(study_command.__annotations__)


def test_the_table_quotes_what_is_said():
    folder = Path(studies.__file__).parent / "report"
    said = " ".join((folder / f"{name}.py").read_text() for name in ("verdicts", "sentences", "remarks"))
    # Strings that go on in the next line.
    said = re.sub(r'"\s+f?"', "", said)
    quotes = [
        one for line in PAGE.splitlines() if line.startswith("| “") for one in re.findall("“(.*?)”", line.split("|")[1])
    ]
    assert len(quotes) >= 12
    for quote in quotes:
        assert quote.removeprefix("misses 40 % of the output difference").strip() in said
