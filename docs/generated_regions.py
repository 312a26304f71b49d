"""Write the regions of a page, and the files, that come from the sources, so that they cannot go out of date.

A region begins with ``<!-- NAME: written by docs/SCRIPT.py -->`` and ends with ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def write_files(texts: Mapping[Path, str], script: str) -> None:
    """Write whole files; with ``--check`` on the command line only report whether that changes anything.

    Parameters
    ----------
    texts : mapping of Path to str
        The text of each file.
    script : str
        Name of the script that makes them.
    """
    for path, text in texts.items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/{path.name} is out of date with the sources: run python docs/{script}")


def main(page: Path, script: str, regions: Mapping[str, str]) -> None:
    """Replace the text of each region; with ``--check`` on the command line only report whether that changes anything.

    Parameters
    ----------
    page : Path
    script : str
        Name of the script that writes the regions.
    regions : mapping of str to str
        The text of each region, by its name.
    """
    text = written = page.read_text(encoding="utf-8")
    for name, region in regions.items():
        begin, end = f"<!-- {name}: written by docs/{script} -->\n", f"<!-- end of {name} -->\n"
        before, rest = written.split(begin)
        written = before + begin + region + end + rest.split(end)[1]
    if "--check" in sys.argv and written != text:
        sys.exit(f"docs/{page.name} is out of date with the sources: run python docs/{script}")
    page.write_text(written, encoding="utf-8")
