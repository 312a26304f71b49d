"""The pages of the site that no file holds: the reference, and the sources that pages link to; and the navigation.

``mkdocs build`` calls the functions whose names begin with ``on_``.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SKILL = ROOT / "toolkit" / "seqlight" / "skill" / "SKILL.md"
# The packages are those of this checkout, and docstring_roles.py imports this file.
PATHS = [str(ROOT / "toolkit"), str(ROOT / "callbacks"), str(DOCS)]
sys.path[:0] = PATHS

_ITEM = re.compile(r"^- (.*)", flags=re.MULTILINE)
_PAGE = re.compile(r"\[([^\]]+)\]\(([^)#]+\.md)\)")
# Headings, blocks and links stay as they are; a formula stands between dollars, and a name in code.
_PIECE = re.compile(
    r"^\#[^\n]*$|```.*?```|\[[^\]\n]*\]\([^)\n]*\)|\$(?P<formula>\S[^$\n]*?)\$|`(?P<code>[^`\n]*)`",
    flags=re.DOTALL | re.MULTILINE,
)
_CALL = re.compile(r"(?P<package>(?:sl|seqlight)\.)?(?P<name>\w+)(?:\(.*\))?")
_LINK = re.compile(r"\]\(([\w./\\-]+)(#[^)]*)?\)")
PACKAGES = (
    "seqlight.datasets",
    "seqlight.targets",
    "seqlight.metrics",
    "seqlight.lit",
    "seqlight.studies",
    "seqlight_callbacks",
)


class Reference(NamedTuple):
    """A page of the reference: its title, the package that has the names, and the names."""

    title: str
    package: str
    names: list[str]

    @property
    def path(self) -> str:
        """Where the page lies in the site."""
        package = self.package.rpartition(".")[2]
        return f"reference/{package if package != 'seqlight' else self.title.lower().replace(' ', '_')}.md"

    def markdown(self) -> str:
        """Return the page, for mkdocstrings to fill."""
        first = (import_module(self.package).__doc__ or "").partition("\n")[0]
        lead = [f"# {self.title}", "" if self.package == "seqlight" else first]
        return "\n\n".join([*lead, *(f"::: {self.package}.{name}" for name in self.names)]) + "\n"


def reference_pages() -> list[Reference]:
    """Return the pages of the reference, in which every public name occurs."""
    seqlight = import_module("seqlight")
    left = [name for name in seqlight.__all__ if name != "__version__"]
    pages = []
    for group, text in _groups(seqlight.__doc__ or ""):
        names = [name for name in re.findall(r"\w+", text) if name in left]
        left = [name for name in left if name not in names]
        if names:
            pages.append(Reference(group, "seqlight", names))
    pages.append(Reference("Errors and warnings", "seqlight", left))
    return [*pages, *(Reference(one, one, list(import_module(one).__all__)) for one in PACKAGES)]


def _groups(text: str) -> Iterator[tuple[str, str]]:
    """Yield the headings of a docstring that is a table of contents, with what stands below each."""
    for found in re.finditer(r"^(\S.*)\n((?:    .+\n?)+)", text, flags=re.MULTILINE):
        yield found[1], found[2]


REFERENCES = reference_pages()
_PUBLIC = {name for page in REFERENCES if page.package == "seqlight" for name in page.names}
COMMANDS = "reference/commands.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the navigation from the index: its headings are sections, its links are pages."""
    sys.path[:0] = PATHS  # MkDocs has taken out what was put in when it read this file
    nav: list[dict[str, Any]] = []
    for section in re.split(r"^## ", (DOCS / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        pages, *parts = re.split(r"^### ", section, flags=re.MULTILINE)
        entries: list[Any] = [*_pages(pages), *({part.partition("\n")[0]: _pages(part)} for part in parts)]
        if title == "Start":
            entries.insert(0, "README.md")
        if title == "Reference":
            entries += [{"Commands": COMMANDS}, *({page.title: page.path} for page in REFERENCES)]
        if title == "Studies":
            text = (DOCS / "studies" / "README.md").read_text(encoding="utf-8")
            entries += [{name: f"studies/{path}"} for name, path in _links(text) if "/" not in path]
        nav.append({title: entries})
    config.nav = nav
    return config


def _pages(text: str) -> list[dict[str, str]]:
    """Return the pages that the items of a list link to, as entries of the navigation."""
    # A page from outside of the documentation lies at the top of the site.
    return [
        {name[0].upper() + name[1:]: path.rpartition("/")[2] if path.startswith("../") else path}
        for line in _ITEM.findall(text)
        for name, path in _PAGE.findall(line)
    ]


def _links(text: str) -> list[tuple[str, str]]:
    """Return names and paths of the pages that a page links to, each once, in order."""
    found = re.findall(r"\[([^\]`]+)\]\(([\w/]+\.md)\)", text)
    return [(name, path) for i, (name, path) in enumerate(found) if path not in [one for _, one in found[:i]]]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the reference, and a copy of each file of the repository that a page links to."""
    from command_pages import commands_page

    for page in REFERENCES:
        files.append(File.generated(config, page.path, content=page.markdown()))
    files.append(File.generated(config, COMMANDS, content=commands_page(ROOT / "pyproject.toml")))
    pages = [Path(str(one.abs_src_path)) for one in files.documentation_pages() if one.abs_src_path]
    outside = {path for page in pages for path in _outside(page)}
    outside |= {path for page in outside if page.suffix == ".md" for path in _outside(page)}
    for path in sorted(outside - {ROOT / "README.md"}):
        if path.suffix == ".md":
            text = _inward(path.read_text(encoding="utf-8"), path)
            files.append(File.generated(config, path.name, content=text))
        else:
            files.append(File.generated(config, _place(path), content=_text(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **kwargs: Any) -> str:
    """Lead links to files of the repository to their copies, complete the index, link names, typeset formulas."""
    source = page.file.abs_src_path
    if page.file.src_uri == "README.md":
        names = "\n".join(f"- [{one.title}]({one.path}): `{'` `'.join(one.names)}`" for one in REFERENCES)
        names = f"- [Commands]({COMMANDS}): what `seqlight --help` and that of each command print.\n{names}"
        markdown = markdown.replace("\n\n## Explanation\n", f"\n{names}\n\n## Explanation\n")
    markdown = _inward(markdown, Path(source)) if source else markdown
    return _PIECE.sub(_enriched, markdown)


def _enriched(found: re.Match[str]) -> str:
    """Return a formula as MathML, and a public name as a link to the reference."""
    if found["formula"]:
        return _typeset(found["formula"])
    call = _CALL.fullmatch(found["code"] or "")
    # A word such as `run` may be anything; with a package before it, or of several words, it is a name.
    if call and call["name"] in _PUBLIC and (call["package"] or "_" in call["name"] or not call["name"].islower()):
        return f"[{found[0]}][seqlight.{call['name']}]"
    return found[0]


def on_post_build(config: MkDocsConfig) -> None:
    """Put the Markdown of each page beside it, for readers that are programs: `llms.txt` leads to them."""
    for page in DOCS.rglob("*.md"):
        place = Path(config.site_dir) / page.relative_to(DOCS)
        place.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    shutil.copy(SKILL, config.site_dir)


def _typeset(formula: str) -> str:
    """Return a formula of LaTeX as MathML, for which a browser needs no script."""
    return str(convert(formula.replace(r"\mathrm", r"\text")))


def _target(link: str, page: Path) -> Path:
    return (page.parent / link.replace("\\", "")).resolve()


def _outside(page: Path) -> set[Path]:
    """Return the files and folders outside of the documentation that a page links to."""
    found = {_target(link, page) for link, _ in _LINK.findall(page.read_text(encoding="utf-8"))}
    return {path for path in found if path.exists() and path.is_relative_to(ROOT) and not path.is_relative_to(DOCS)}


def _inward(text: str, page: Path) -> str:
    """Return a page with links into the site only."""
    # Pages from outside of the documentation lie at the top of the site.
    up = "../" * (len(page.relative_to(DOCS).parts) - 1) if page.is_relative_to(DOCS) else ""

    def led(found: re.Match[str]) -> str:
        target = _target(found[1], page)
        if not target.is_relative_to(ROOT) or not target.exists():
            return found[0]
        if target.is_relative_to(DOCS):
            place = target.relative_to(DOCS).as_posix()
        else:
            place = target.name if target.suffix == ".md" else _place(target)
        return f"]({up}{place}{found[2] or ''})"

    return _LINK.sub(led, text)


def _place(path: Path) -> str:
    """Return where the copy of a file or folder lies in the site: as a text, which every browser shows."""
    return f"sources/{path.relative_to(ROOT).as_posix().removeprefix('.')}.txt"


def _text(path: Path) -> str:
    """Return the text of a file; of a folder that of its ``__init__.py``, or else the names in it."""
    if path.is_file():
        return path.read_text(encoding="utf-8")
    package = path / "__init__.py"
    return (
        package.read_text(encoding="utf-8")
        if package.exists()
        else "\n".join(sorted(one.name for one in path.iterdir()))
    )
