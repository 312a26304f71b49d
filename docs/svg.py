"""Drawings of boxes, arrows and texts as SVG, which every browser shows without a script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

INK, BLUE, ORANGE, GREEN = "#222222", "#0072B2", "#D55E00", "#009E73"


class Drawing:
    """An SVG of a size in pixels, on white, so that it can be read on dark pages, too."""

    def __init__(self, width: int, height: int, title: str):
        self.head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" font-family="Helvetica, Arial, sans-serif" font-size="14">\n<title>{escape(title)}</title>\n'
            f'<rect width="{width}" height="{height}" fill="white"/>\n'
        )
        self.parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, text: str, colour: str = INK) -> None:
        """Draw a box with a text in its middle."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{colour}" '
            f'fill-opacity="0.08" stroke="{colour}"/>'
        )
        self.text(x + width / 2, y + height / 2 + 5, text, colour=colour)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        colour: str = INK,
        anchor: str = "middle",
        size: int = 14,
        weight: int = 400,
    ) -> None:
        """Write a line of text, its middle at `x` unless `anchor` is "start" or "end"."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}" font-size="{size}" '
            f'font-weight="{weight}">{escape(text)}</text>'
        )

    def arrow(self, points: Sequence[tuple[float, float]], colour: str = INK, *, dashed: bool = False) -> None:
        """Draw a line through points, with a head at the last one."""
        (x0, y0), (x, y) = points[-2:]
        length = max(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5, 1e-9)
        dx, dy = (x - x0) / length, (y - y0) / length
        head = [(x, y), (x - 9 * dx - 4 * dy, y - 9 * dy + 4 * dx), (x - 9 * dx + 4 * dy, y - 9 * dy - 4 * dx)]
        self.line([*points[:-1], (x - 8 * dx, y - 8 * dy)], colour, dashed=dashed)
        self.parts.append(f'<polygon points="{_joined(head)}" fill="{colour}"/>')

    def line(
        self, points: Iterable[tuple[float, float]], colour: str = INK, *, dashed: bool = False, width: float = 1.5
    ) -> None:
        """Draw a line through points."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<polyline points="{_joined(points)}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashes}/>'
        )

    def dot(self, x: float, y: float, colour: str) -> None:
        """Draw a point."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="{colour}"/>')

    def __str__(self) -> str:
        return self.head + "\n".join(self.parts) + "\n</svg>\n"


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
