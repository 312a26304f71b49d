"""The page of the study by operation: it runs, and prints what it says."""

import pytest

for needed in ("captum", "shap", "tangermeme"):
    pytest.importorskip(needed)


@pytest.mark.slow
def test_what_is_printed_is_what_comes_out(run_page):
    page, _ = run_page("studies/operations.md")
    assert len(page.printed) == 2
    assert page.printed == page.written
