"""How positions are numbered for a reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator


@dataclass(frozen=True)
class Ruler:
    """Where position 0 is.

    Parameters
    ----------
    zero : int
        The position to call 0.
    origin : str
        What is there, as in "the start codon".

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
        """What to write at an axis of positions."""
        return f"position from {self.origin}" if self.origin else "position"

    @property
    def start(self) -> str:
        """What to say that positions are counted from."""
        return self.origin or ("position 0" if self.zero else "the beginning of the sequence")

    def number(self, position: float) -> str:
        """Return what to call a position."""
        number = position - self.zero
        return f"{number:+.0f}" if self.zero and number else f"{number:.0f}"

    def write(self, ax: Axes) -> None:
        """Write the numbers to the x axis of axes whose unit is the position."""
        ax.xaxis.set_major_locator(_Round(self.zero))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: self.number(x)))


class _Round(MaxNLocator):
    """Ticks at round numbers from a zero that may be anywhere."""

    def __init__(self, zero: int) -> None:
        super().__init__(integer=True, steps=[1, 2, 5, 10])
        self.zero = zero

    def tick_values(self, vmin: float, vmax: float) -> Any:
        return [tick + self.zero for tick in super().tick_values(vmin - self.zero, vmax - self.zero)]
