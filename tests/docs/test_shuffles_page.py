"""The page of the study of shuffles: it runs, and prints what it says."""

import pytest

pytest.importorskip("tangermeme")


def test_what_is_printed_is_what_comes_out(run_page):
    page, _ = run_page("studies/shuffles.md")
    assert len(page.printed) == 3
    assert page.printed == page.written
