"""Rules for source files: their sizes, names and docstrings."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("toolkit/seqlight/**/*.py"), *ROOT.glob("callbacks/seqlight_callbacks/**/*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_idea(path):
    assert len(path.read_text().splitlines()) <= 300
    assert path.stem not in {"utils", "helpers", "common", "core", "base", "misc"}
    if path.name != "__init__.py":
        assert path.read_text().startswith(('"""', 'r"""'))


def test_examples_in_docstrings_are_run():
    """Doctests are collected by the default run: pyproject names the sources."""
    assert "--doctest-modules" in (ROOT / "pyproject.toml").read_text()
