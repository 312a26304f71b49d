"""The blocks of docs/targets.md run, and print what the page says."""


def test_the_page_says_what_comes_out(run_page):
    page, _ = run_page("targets.md")
    for printed, written in zip(page.printed, page.written, strict=True):
        assert printed == written


def test_every_target_is_in_the_table(run_page):
    from seqlight.targets.registry import named_targets

    page, _ = run_page("targets.md")
    text = page.path.read_text()
    assert all(f"| `{made.__name__}(" in text for made in named_targets().values())
