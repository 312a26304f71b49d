"""The page of the study of references: it runs, and prints what it says."""


def test_what_is_printed_is_what_comes_out(run_page):
    page, _ = run_page("studies/references.md")
    assert len(page.printed) == 1
    assert page.printed == page.written
