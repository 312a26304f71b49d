"""The blocks of docs/targets.md run, and print what the page says."""

import pytest

from seqlight.targets.registry import named_targets


@pytest.fixture(scope="module")
def page(run_page):
    return run_page("targets.md")[0]


def test_the_page_says_what_comes_out(page):
    for printed, written in zip(page.printed, page.written, strict=True):
        assert printed == written


def test_every_target_is_in_the_table(page):
    text = page.path.read_text()
    assert all(f"| `{made.__name__}(" in text for made in named_targets().values())
