"""The page says what the tests try, no more and no less."""

import subprocess
import sys

from .conftest import DOCS


def test_the_page_is_that_of_the_tests():
    done = subprocess.run(
        [sys.executable, DOCS / "reliability_table.py", "--check"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "| an error" in (DOCS / "reliability.md").read_text()
