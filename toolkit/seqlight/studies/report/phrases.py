"""Numbers and lists as a reader says them: percent, powers of ten for rounding, seconds, memory, names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqlight.report.blocks import Tone

# Shares below this one are read as powers of ten: nobody compares 0.00003 % with 0.0000002 %.
SMALLEST_PERCENT = 1e-3
# And those from here on: nobody counts the digits of 2,000,000,000 %.
LARGEST_PERCENT = 1e4


@dataclass(frozen=True)
class Sentence:
    """One or more sentences about one thing, and whether they are good news.

    Attributes
    ----------
    text : str
        With names of modules and operations between backquotes.
    tone : str
        "good"; "fair", if there is something to know; "bad", if somebody would be misled; or "plain".
    """

    text: str
    tone: Tone = "plain"


def as_share(share: float) -> str:
    """Return a share of the output difference, rounded as its size deserves; "-" if it is NaN.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_share
    >>> [as_share(one) for one in (0.4321, 0.0999, 0.0321, 0.00321, 3.21e-7, 12.3, 2e7, 0.0)]
    ['43 %', '10 %', '3 %', '0.3 %', '3e-7', '1,200 %', '2e9 %', 'nothing']
    """
    if math.isnan(share):
        return "-"
    if share == 0:
        return "nothing"
    if abs(share) < SMALLEST_PERCENT:
        return as_power(share)
    if abs(share) >= LARGEST_PERCENT:
        return f"{as_power(100 * share)} %"
    return f"{_digits(100 * share, 1 if abs(share) < 0.095 else 2)} %"


def as_miss(share: float) -> str:
    """Return a share of the output difference, with what it is a share of.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_miss
    >>> as_miss(0.4), as_miss(12.3)
    ('40 % of the output difference', '1,200 % of the output difference')
    """
    return f"{as_share(share)} of the output difference"


def as_power(number: float) -> str:
    """Return a small number with one digit and its power of ten.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_power
    >>> as_power(6.1e-16), as_power(2e-4), as_power(0)
    ('6e-16', '2e-4', '0')
    """
    if number == 0 or not math.isfinite(number):
        return "0" if number == 0 else "-"
    digit, power = f"{number:.0e}".split("e")
    return f"{digit}e{int(power)}"


def as_output(number: float) -> str:
    """Return a number in the unit of the outputs of a model, with two digits.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_output
    >>> as_output(0.001634), as_output(123.4), as_output(1.2e-9)
    ('0.0016', '120', '1.2e-9')
    """
    return _digits(number, 2) if 1e-4 <= abs(number) < 1e6 else f"{number:.1e}".replace("e-0", "e-").replace("e+0", "e")


def as_seconds(seconds: float) -> str:
    """Return a time with a unit that suits it; "-" if it is NaN.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_seconds
    >>> as_seconds(0.0123), as_seconds(4.56), as_seconds(150)
    ('12 ms', '4.6 s', '2.5 min')
    """
    if math.isnan(seconds):
        return "-"
    if seconds < 0.9995:
        return f"{_digits(1000 * seconds, 2).removesuffix('.0')} ms"
    number, unit = (seconds, "s") if seconds < 120 else (seconds / 60, "min")
    return f"{_digits(number, 2).removesuffix('.0')} {unit}"


def as_memory(mib: float) -> str:
    """Return an amount of memory, given in MiB; "-" if it is NaN.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_memory
    >>> as_memory(12.3), as_memory(3456)
    ('12 MiB', '3.4 GiB')
    """
    if math.isnan(mib):
        return "-"
    return f"{mib:.0f} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"


def as_correlation(r: float) -> str:
    """Return a correlation, with as many digits as tell it from 1; "-" if it is NaN.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_correlation
    >>> [as_correlation(one) for one in (0.5431, 0.98765, 0.99999, 1 - 1e-9, -0.2, 0.0)]
    ['0.54', '0.988', '0.99999', '1', '-0.20', '0.00']
    """
    if math.isnan(r):
        return "-"
    if 1 - abs(r) < 1e-6:
        return "1" if r > 0 else "-1"
    if abs(r) < 0.95:
        return f"{r:.2f}"
    return f"{r:.{min(6, 1 - math.floor(math.log10(1 - abs(r))))}f}".rstrip("0")


def as_count(number: int, what: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_count
    >>> as_count(1, "sequence"), as_count(12, "sequence")
    ('1 sequence', '12 sequences')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def as_opening(name: str, package: str = "") -> str:
    """Return a name as the first word of a sentence: with a capital letter, unless it is that of a package.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_opening
    >>> as_opening("mutagenesis", "seqlight"), as_opening("shap's DeepExplainer", "shap")
    ('Mutagenesis', "shap's DeepExplainer")
    """
    return name if package and name.startswith(package) else f"{name[:1].upper()}{name[1:]}"


def as_sentence(text: str) -> str:
    """Return a text with a full stop, unless it ends a sentence already.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import as_sentence
    >>> as_sentence("so it is"), as_sentence("Is it?"), as_sentence("")
    ('so it is.', 'Is it?', '')
    """
    text = text.strip()
    return text if text.endswith((".", "!", "?", ".”")) or not text else f"{text}."


def shorten(text: str, most: int = 160) -> str:
    r"""Return the first line of a text, cut at a word where it is longer, and before the numbers of a tensor.

    Examples
    --------
    >>> from seqlight.studies.report.phrases import shorten
    >>> shorten("ValueError: too many words\nand lines", 20)
    'ValueError: too ...'
    """
    line, *numbers = (text.strip().splitlines() or [""])[0].split("tensor([", 1)
    if numbers:
        return f"{line.rstrip(' :(')} ..."
    return line if len(line) <= most else f"{line[: most - 3].rsplit(' ', 1)[0]} ..."


def _digits(number: float, digits: int) -> str:
    """Return a number with this many significant digits, without an exponent."""
    rounded = float(f"{number:.{digits - 1}e}")
    places = max(0, digits - 1 - (math.floor(math.log10(abs(rounded))) if rounded else 0))
    return f"{rounded:,.{places}f}"
