"""The numbering of positions in a report."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from seqlight.plot.coordinates import RoundLocator


@dataclass(frozen=True)
class Ruler:
    """The numbers of positions, counted from a chosen zero.

    Parameters
    ----------
    zero : int
        The position with the number 0.
    origin : str
        What lies there, such as "the start codon".

    Examples
    --------
    >>> from seqlight.report.ruler import Ruler
    >>> ruler = Ruler(zero=40, origin="the start codon")
    >>> ruler.label, ruler.number(31), ruler.number(43)
    ('position from the start codon', '-9', '+3')
    """

    zero: int = 0
    origin: str = ""

    @property
    def label(self) -> str:
        """The label of an axis of positions."""
        return f"position from {self.origin}" if self.origin else "position"

    @property
    def start(self) -> str:
        """The place that positions are counted from, in words."""
        return self.origin or ("position 0" if self.zero else "the beginning of the sequence")

    def number(self, position: float) -> str:
        """Return the number of a position, with its sign if it is counted from elsewhere than the first position."""
        number = position - self.zero
        return f"{number:+.0f}" if self.zero and number else f"{number:.0f}"

    def write(self, ax: Axes) -> None:
        """Show these numbers on an x axis that counts positions."""
        ax.xaxis.set_major_locator(RoundLocator(self.zero))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: self.number(x)))
