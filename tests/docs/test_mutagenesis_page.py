"""The page about mutagenesis: docs/mutagenesis.md; it runs, and prints what it shows."""


def test_the_blocks_print_what_is_shown(run_page):
    page, folder = run_page("mutagenesis.md")
    assert page.printed == page.written
    assert [path.name for path in folder.iterdir()] == ["pairs.png"]
    (drawn,) = page.names["ax"].images
    assert drawn.get_array().shape == (6, 60)
    assert page.names["pairs"].shape == (2, 4, 60, 4, 6)
