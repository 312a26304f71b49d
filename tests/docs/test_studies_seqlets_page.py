"""The page of the study of seqlet callers: it runs, and prints what it says."""

import pytest

pytest.importorskip("tangermeme")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of NumPy, about what tangermeme does
def test_what_is_printed_is_what_comes_out(run_page):
    page, _ = run_page("studies/seqlets.md")
    assert len(page.printed) == 2
    assert page.printed == page.written
