"""The patterns that TF-MoDISco found, read from its HDF5 file."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError
from seqlight.extras import import_extra
from seqlight.files.paths import existing_file

GROUPS = {"pos_patterns": 1, "neg_patterns": -1}
# The ends of a pattern contribute little: those below this share of the largest position are cut off.
TRIM = 0.3
SEQLETS = ("example_idx", "start", "end", "is_revcomp")


class Pattern(NamedTuple):
    """A motif that TF-MoDISco found.

    Attributes
    ----------
    name : str
        As modisco-lite names it: "pos_patterns.pattern_0".
    sign : int
        1 if it adds to the output, else -1.
    frequencies : numpy.ndarray, float64, shape (4, positions)
        How often its seqlets have each letter.
    contributions : numpy.ndarray, float64, shape (4, positions)
        What the letters of its seqlets contribute, on average.
    seqlets : pandas.DataFrame
        Columns example_idx, start, end (in the window that was searched) and is_revcomp.
    """

    name: str
    sign: int
    frequencies: NDArray[np.float64]
    contributions: NDArray[np.float64]
    seqlets: pd.DataFrame

    def span(self) -> tuple[int, int]:
        """Return the first position that contributes at least 30 % of the largest one, and that behind the last."""
        sizes = np.abs(self.contributions).sum(axis=0)
        (kept,) = np.nonzero(sizes >= TRIM * sizes.max(initial=0))
        return int(kept[0]), int(kept[-1]) + 1

    def trimmed(self) -> NDArray[np.float64]:
        """Return the frequencies within the span, each position summing to one."""
        first, last = self.span()
        found = self.frequencies[:, first:last]
        total = found.sum(axis=0)
        # Where no seqlet has a known letter, all are as frequent.
        return np.where(total > 0, found / np.where(total > 0, total, 1), 0.25)

    def sites(self, first: int = 0) -> pd.DataFrame:
        """Return where the trimmed pattern lies in each sequence, if the searched window begins at `first`.

        Columns example_idx, start, end and motif_strand, which is "-" where its reverse complement is there.
        """
        begin, end = self.span()
        start, last = (self.seqlets[name].to_numpy() + first for name in ("start", "end"))
        reverse = self.seqlets["is_revcomp"].to_numpy(dtype=bool)
        return pd.DataFrame(
            {
                "example_idx": self.seqlets["example_idx"].to_numpy(),
                "start": np.where(reverse, last - end, start + begin),
                "end": np.where(reverse, last - begin, start + end),
                "motif_strand": np.where(reverse, "-", "+"),
            }
        )


def read_patterns(path: str | os.PathLike[str]) -> list[Pattern]:
    """Return the patterns of a file of ``modisco motifs``, positive ones first, in their order.

    Raises
    ------
    InputError
        If there is no such file, or it is another one.
    MissingExtra
        If h5py is not installed.
    """
    h5py = import_extra("h5py", "export")
    file = existing_file(path, "the HDF5 file of `modisco motifs`")
    try:
        with h5py.File(file) as opened:
            return [
                _pattern(f"{group}.{name}", sign, opened[group][name])
                for group, sign in GROUPS.items()
                for name in sorted(opened.get(group, {}), key=_number)
            ]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}): expected the HDF5 file of `modisco motifs`.") from None


def read_window(path: str | os.PathLike[str]) -> int | None:
    """Return how many positions the patterns of a file were looked for in; None if it does not say."""
    h5py = import_extra("h5py", "export")
    try:
        with h5py.File(path) as opened:
            found = opened.attrs.get("window_size")
    except OSError:  # read_patterns says what is wrong
        return None
    return None if found is None else int(found)


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _pattern(name: str, sign: int, group: Any) -> Pattern:
    frequencies, contributions = (np.asarray(group[key][:], np.float64).T for key in ("sequence", "contrib_scores"))
    return Pattern(
        name, sign, frequencies, contributions, pd.DataFrame({key: group["seqlets"][key][:] for key in SEQLETS})
    )
