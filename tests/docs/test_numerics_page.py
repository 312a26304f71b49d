"""The page of the study of numerics: it runs, and prints what it says."""

import pytest


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
@pytest.mark.filterwarnings("ignore:Input Tensor . did not already require gradients:UserWarning")
def test_what_is_printed_is_what_comes_out(run_page):
    page, _ = run_page("studies/numerics.md")
    assert len(page.printed) == 2
    assert page.printed == page.written
