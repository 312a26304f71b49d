"""Docstrings as the reference shows them: names of public objects are links, and roles of Sphinx are plain code."""

from __future__ import annotations

import re
from typing import Any

import griffe
from site_pages import REFERENCES

_ROLE = re.compile(r":(?:func|class|attr|mod|meth|data):`~?([^`]+)`")
_TYPE = re.compile(r"^(\s*[\w*, ]+ : )(.*)$", flags=re.MULTILINE)
_NAME = re.compile(r"(?<![\[`])`(?:sl\.|seqlight\.)(\w+)`(?![`\]])")
_NOTE = re.compile(r"^\.\. \[(\d+)\] ", flags=re.MULTILINE)
_FORMULA = re.compile(r"\.\. math:: (.+)")
_PUBLIC = {name for page in REFERENCES if page.package == "seqlight" for name in page.names}


class DocstringRoles(griffe.Extension):
    """Rewrite the text of each docstring when its object was read."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of an object, if it has one."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Return a docstring with links in place of roles.

    Examples
    --------
    >>> as_markdown("As in :func:`seqlight.attribute`, see :func:`~a.b`.")
    'As in [`seqlight.attribute`][seqlight.attribute], see `a.b`.'

    Types are shown as code, in which there are no links.

    >>> as_markdown("target : int, or that of :func:`seqlight.attribute`")
    'target : int, or that of seqlight.attribute'
    """
    text = _TYPE.sub(lambda found: found[1] + _ROLE.sub(r"\1", found[2]), text)
    text = _ROLE.sub(r"`\1`", text)
    text = _NOTE.sub(r"\\[\1\\] ", _FORMULA.sub(r"`\1`", text))
    return _NAME.sub(_link, text)


def _link(found: re.Match[str]) -> str:
    name = found[1]
    return f"[{found[0]}][seqlight.{name}]" if name in _PUBLIC else found[0]
