"""Tables as HTML, and the promise that showing an object never fails."""

from __future__ import annotations

import functools
import html
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

Shown = TypeVar("Shown")


def html_table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as HTML; numbers have four significant digits, and what is missing is a dash.

    Examples
    --------
    >>> from seqlight.notebook.markup import html_table
    >>> html_table(["row", "output"], [[0, 0.123456]])
    '<table><thead><tr><th>row</th><th>output</th></tr></thead><tbody><tr><td>0</td><td>0.1235</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_lines(lines: Sequence[str]) -> str:
    """Return lines of text as HTML, the first one in bold."""
    first, *more = (html.escape(line.strip()) for line in lines)
    return f"<p><b>{first}</b>{''.join(f'<br>{line}' for line in more)}</p>"


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "&ndash;"
    return html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def shown_safely(method: Callable[[Shown], str]) -> Callable[[Shown], str]:
    """Return a method for ``_repr_html_`` that shows the object as text where the method fails.

    An object may be shown after an error, with files that are gone, or half made; the cell of the notebook that shows
    it must not end in an error of its own.
    """

    @functools.wraps(method)
    def shown(self: Shown) -> str:
        try:
            return method(self)
        except Exception:
            return f"<pre>{html.escape(_text(self))}</pre>"

    return shown


def _text(given: Any) -> str:
    try:
        return repr(given)
    except Exception:
        return f"<{type(given).__name__}>"
