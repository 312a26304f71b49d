"""The page about mutagenesis: docs/mutagenesis.md; what its block prints is what it shows."""


def test_the_block_prints_what_is_shown(run_page):
    page, _ = run_page("mutagenesis.md")
    assert page.printed == page.written
    assert page.names["pairs"].shape == (2, 4, 60, 4, 6)
