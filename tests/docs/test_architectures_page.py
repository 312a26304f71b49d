"""The page of the study by architecture: it runs, and prints what it says."""

import pytest

pytest.importorskip("tangermeme")


@pytest.mark.filterwarnings("ignore::seqlight.IntegratedWarning")
def test_what_is_printed_is_what_comes_out(run_page):
    page, _ = run_page("studies/architectures.md")
    assert len(page.printed) == 2
    assert page.printed == page.written
