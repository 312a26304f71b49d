"""The site is built without a warning and without a network, and its reference has every public name."""

import doctest
import html
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from command_pages import commands

from seqlight.cli.overview import typed_name

from .conftest import DOCS

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")
ROOT = Path(__file__).parents[2]
PUBLIC = ["", ".datasets", ".lit", ".metrics", ".studies", ".targets", "_callbacks"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as `make docs` does, where every warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_in_the_reference(site, package):
    package = f"seqlight{package}"
    page = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    names = set(import_module(package).__all__) - {"__version__"}
    assert {name for name in names if f'id="{package}.{name}"' not in page} == set()


def test_every_command_is_in_the_reference(site):
    page = html.unescape((site / "reference" / "commands.html").read_text())
    for command in commands(ROOT / "pyproject.toml"):
        parameters = inspect.signature(command.load()).parameters.values()
        assert f"seqlight {typed_name(command.name)}" in page
        for one in parameters:
            assert one.kind is one.VAR_POSITIONAL or re.search(rf"--{one.name}\b|\b{one.name.upper()}\b", page), one


def test_every_page_can_be_reached(site):
    home = (site / "index.html").read_text()
    pages = [path.relative_to(site).as_posix() for path in site.rglob("*.html") if path.name != "404.html"]
    assert [page for page in pages if f'href="{page}"' not in home and page != "index.html"] == []


def test_nothing_is_fetched_from_elsewhere(site):
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        text = path.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]+src=\"?(?:https?:)?//[^>]+", text)
        loaded += re.findall(r"<link[^>]+rel=\"?(?:stylesheet|preconnect|icon)[^>]+(?:https?:)?//[^>]+", text)
        loaded += re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)]+", text)
        assert loaded == [], path.name


def test_links_to_sources_lead_to_copies(site):
    page = (site / "architecture.html").read_text()
    (link,) = set(re.findall(r'href="(sources/[^"]+/engine/modes\.py\.txt)"', page))
    assert (site / link).read_text() == (ROOT / "toolkit/seqlight/attribution/engine/modes.py").read_text()


def test_the_examples_of_the_script_hold():
    assert doctest.testmod(import_module("docstring_roles")).failed == 0


def test_names_on_pages_lead_to_the_reference(site):
    page = (site / "attribution.html").read_text()
    for name in ("deep_lift_shap", "Contrast", "ConvergenceWarning"):
        assert re.search(rf'<a[^>]+href="reference/\w+\.html#seqlight\.{name}"[^>]*><code>{name}\b', page), name
    page = (site / "distributed.html").read_text()
    assert "<code>run</code>" in page
    assert "<code>run</code></a>" not in page


def test_programs_find_what_they_read(site):
    for link in re.findall(r"\]\(([^)]+)\)", (site / "llms.txt").read_text()):
        assert (site / link).exists(), link


def test_formulas_are_typeset(site):
    assert "<math " in (site / "targets.html").read_text()
    for path in site.rglob("*.html"):
        text = re.sub(r"<(pre|code|script).*?</\1>", "", path.read_text(), flags=re.DOTALL)
        assert re.findall(r"\$[^$\n<]+\$", text) == [], path.name


def test_docstrings_have_no_roles_of_sphinx(site):
    for path in (site / "reference").glob("*.html"):
        assert re.findall(r":(?:func|class|attr|mod|meth):", path.read_text()) == [], path.name


def test_pages_and_scripts_of_the_documentation_are_all_there(site):
    pages = [path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md") if path.name != "README.md"]
    assert [page for page in pages if not (site / page).exists()] == []
    assert not list(site.rglob("*.py"))
