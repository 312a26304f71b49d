"""What a page is made of: texts, numbers, tables, logos, pictures and films, some of them folded away."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from seqlight.errors import InputError
from seqlight.plot.logo_page import InteractiveLogo
from seqlight.report.data_table import DataTable
from seqlight.report.embedded_figure import embed

Tone = Literal["good", "fair", "bad", "plain"]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Preformatted text in a fixed-width font."""

    text: str


@dataclass(frozen=True)
class Numbers:
    """A few important numbers in large type, each under its name."""

    numbers: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table of data, with a caption."""

    table: pd.DataFrame
    caption: str

    def html(self) -> str:
        """Return the table as HTML, its numbers with four significant digits."""
        html: str = self.table.to_html(index=False, border=0, float_format=lambda value: f"{value:.4g}")
        return html


@dataclass(frozen=True)
class TextTable:
    """A table of texts, with a caption.

    Attributes
    ----------
    table : pandas.DataFrame
        Texts; names between backquotes are set in a fixed-width font.
    caption : str
    tones : mapping of str to sequence of str
        By column, the tone of each row.
    numbers : collection of str
        The columns that hold numbers: they are aligned on the right.
    long : collection of str
        The columns that hold sentences: their lines are broken.
    """

    table: pd.DataFrame
    caption: str
    tones: Mapping[str, Sequence[Tone]] = field(default_factory=dict)
    numbers: Collection[str] = ()
    long: Collection[str] = ()

    def rows(self) -> list[list[tuple[str, str]]]:
        """Return the text and the classes of each cell, by row."""
        classes = {}
        for name in map(str, self.table):
            kind = "number" if name in self.numbers else "long" if name in self.long else ""
            tones = self.tones.get(name, [""] * len(self.table))
            classes[name] = [f"{kind} tone {tone}".strip() if tone else kind for tone in tones]
        columns = [list(zip(self.table[name], classes[name], strict=True)) for name in classes]
        return [list(row) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Callout:
    """A sentence in large type: what the page has to say."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Points:
    """Texts under one another, each with its tone."""

    points: Sequence[tuple[str, Tone]]


@dataclass(frozen=True)
class Terms:
    """Terms and what they mean."""

    terms: Mapping[str, str]


@dataclass(frozen=True)
class Picture:
    """A figure, with a caption; "png" is smaller than "svg" where there are many letters.

    `narrow` is shown in its place where the page is as narrow as a phone.
    """

    figure: Figure
    caption: str
    kind: Literal["svg", "png"] = "svg"
    narrow: Figure | None = None

    def source(self) -> str:
        """Return the figure as a data URI."""
        return embed(self.figure, self.kind)

    def narrow_source(self) -> str:
        """Return the narrow figure as a data URI; "" if there is none."""
        return embed(self.narrow, self.kind) if self.narrow else ""


@dataclass(frozen=True)
class Film:
    """Figures of one size, shown one at a time by a slider."""

    frames: Mapping[str, Figure]
    caption: str

    def sources(self) -> dict[str, str]:
        """Return each figure as a data URI, by its label."""
        if not self.frames:
            raise InputError("a film has no frames: expected at least one.")
        return {label: embed(figure, "png") for label, figure in self.frames.items()}


@dataclass(frozen=True)
class Logos:
    """Interactive logos below each other, each under the name by which links find it, with a caption."""

    logos: Mapping[str, InteractiveLogo]
    caption: str

    def figures(self) -> dict[str, Markup]:
        """Return each logo as HTML, without the script, which the page has once."""
        return {name: Markup(one.to_html(full_html=False, script=False)) for name, one in self.logos.items()}


@dataclass(frozen=True)
class Gallery:
    """Small figures beside each other, each above its name, with a caption."""

    figures: Mapping[str, Figure]
    caption: str

    def sources(self) -> dict[str, str]:
        """Return each figure as a data URI."""
        return {name: embed(figure) for name, figure in self.figures.items()}


@dataclass(frozen=True)
class Links:
    """Links under one another: what is shown, where it leads, and what is there."""

    links: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Fold:
    """Blocks under a line that opens and closes them, with a text beside its title."""

    title: str
    blocks: Sequence[Block]
    text: str = ""
    tone: Tone = "plain"
    is_open: bool = False


Block = (
    Text
    | Code
    | Numbers
    | Table
    | TextTable
    | DataTable
    | Callout
    | Points
    | Terms
    | Picture
    | Film
    | Logos
    | Gallery
    | Links
    | Fold
)


@dataclass(frozen=True)
class Section:
    """A heading and the blocks under it."""

    title: str
    blocks: Sequence[Block]
