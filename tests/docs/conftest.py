"""Run the Python blocks of a page in order, and compare what they print with the text blocks that follow them.

A block that begins with a comment such as ``# model.py`` is not run: it is the content of that file.
A block of bash is one command.

After an intended change, SEQLIGHT_BASELINES=1 pytest tests/docs writes what comes out into the pages; read it.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from seqlight.cli.main import main

DOCS = Path(__file__).parents[2] / "docs"
# Some pages are written by scripts, which tests ask what they would write.
sys.path.insert(0, str(DOCS))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# (\w+\.(?:py|yaml))\n")


def blocks_of(text, *languages):
    """Return the blocks of a page in some languages, in order."""
    return [block for language, block in BLOCK.findall(text) if language in languages]


class Page:
    """A page that was run: what its blocks printed, and what they left behind."""

    def __init__(self, name):
        self.path = DOCS / name
        self.blocks = BLOCK.findall(self.path.read_text())
        self.printed, self.written, self.shown = [], [], []
        self.names = {"__name__": "__main__"}

    def run(self):
        for (language, text), (following, expected) in zip(self.blocks, [*self.blocks[1:], ("", "")], strict=True):
            if language == "yaml" and FILE.match(text):
                Path(FILE.match(text)[1]).write_text(text)
            if language not in ("bash", "python"):
                continue
            out = self.execute(text) if language == "python" else self.command(text)
            if following == "text":
                self.shown.append(out)
            if following == "text" or language == "python":
                self.printed.append(out)
                self.written.append(expected if following == "text" else "")
        return self

    def execute(self, text):
        """Run a block, or write it into the file that it names; return what it printed."""
        out, file = io.StringIO(), FILE.match(text)
        if file:
            Path(file[1]).write_text(text)
        else:
            with contextlib.redirect_stdout(out):
                exec(compile(text, "page", "exec"), self.names)
        return out.getvalue()

    def rewrite(self, folder):
        """Put what was printed and drawn into the page."""
        texts, before = iter(self.shown), ""

        def filled(block):
            nonlocal before
            ran, before = before in ("python", "bash"), block[1]
            return f"```text\n{next(texts)}```" if ran and block[1] == "text" else block[0]

        self.path.write_text(BLOCK.sub(filled, self.path.read_text()))
        for picture in folder.glob("*.png"):
            shutil.copy(picture, DOCS / "images")

    @staticmethod
    def command(text):
        """Run what is no installation, and return what it prints: ours here, another program by its entry point."""
        program, *arguments = shlex.split(text, comments=True)
        if program == "pip":
            return ""
        if program == "seqlight":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                main(arguments)
            return out.getvalue()
        (entry,) = entry_points(group="console_scripts", name=program)
        call = f"import sys; from {entry.module} import {entry.attr}; sys.exit({entry.attr}())"
        command = [sys.executable, "-c", call, *arguments]
        return subprocess.run(command, check=True, timeout=280, capture_output=True, text=True).stdout


@contextlib.contextmanager
def at_home(folder):
    """Work in a folder as a script that lies there: modules are found in it, and forgotten afterwards."""
    for script in Path(folder).glob("*.py"):
        sys.modules.pop(script.stem, None)  # a test of other files may have left a module of this name
    known = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            if getattr(sys.modules[name], "__file__", None) and Path(sys.modules[name].__file__).parent == folder:
                del sys.modules[name]


@pytest.fixture(scope="module")
def run_pages(tmp_path_factory):
    """Run pages in order, in a folder of theirs; return them and the folder."""

    def run(*names):
        folder = tmp_path_factory.mktemp("page")
        with at_home(folder):
            pages = [Page(name).run() for name in names]
        if os.environ.get("SEQLIGHT_BASELINES"):
            for page in pages:
                page.rewrite(folder)
            pytest.skip("pages and pictures were written, not compared: look at them")
        return pages, folder

    return run


@pytest.fixture(scope="module")
def run_page(run_pages):
    """Run one page in a folder of its own; return it and the folder."""

    def run(name):
        (page,), folder = run_pages(name)
        return page, folder

    return run


def difference(picture):
    """Return the root mean square difference, 0 to 1, of a picture from that of its name in the docs."""
    drawn, shown = (imread(path) for path in (picture, DOCS / "images" / picture.name))
    assert drawn.shape == shown.shape
    return float(np.sqrt(np.mean((drawn - shown) ** 2)))
