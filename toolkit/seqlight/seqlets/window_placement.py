"""Windows around seqlets, and what to do if they extend beyond an example."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from seqlight.errors import InputError
from seqlight.metrics.overlap import require_intervals
from seqlight.sequence.checks import require_count

Beyond = Literal["error", "zeros", "shift", "drop"]
POLICIES = ("error", "zeros", "shift", "drop")


def place_windows(
    seqlets: pd.DataFrame, length: int, width: int | None = None, beyond: Beyond = "error"
) -> pd.DataFrame:
    """Return the table with the start and end of the windows to cut.

    Parameters
    ----------
    seqlets : pandas.DataFrame
        Columns example_idx, start and end.
    length : int
        Positions of each example.
    width : int, optional
        Width of windows around the middle of each seqlet (an odd difference goes to the left); by default, windows
        are the seqlets themselves.
    beyond : {"error", "zeros", "shift", "drop"}
        What to do with windows that extend beyond an example: "zeros" leaves them as they are, "shift" moves them
        inside and "drop" removes them.

    Returns
    -------
    pandas.DataFrame
        A copy, with a new index if rows were dropped.

    Raises
    ------
    InputError
        If a window extends beyond its example ("error") or does not fit ("shift"), or an argument cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> seqlets = pd.DataFrame({"example_idx": [0, 0], "start": [1, 20], "end": [5, 25]})
    >>> place_windows(seqlets, length=50, width=10, beyond="shift")[["start", "end"]].to_numpy().tolist()
    [[0, 10], [17, 27]]
    """
    if beyond not in POLICIES:
        raise InputError(f"beyond is {beyond!r}: expected one of {', '.join(POLICIES)}.")
    _, start, end = require_intervals(seqlets, "seqlets").T
    if width is not None:
        width = require_count(width, "width", least=1)
        start = (start + end - width) // 2
        end = start + width
    outside = (start < 0) | (end > length)
    if beyond == "drop":
        placed: pd.DataFrame = seqlets.assign(start=start, end=end).loc[~outside]
        return placed.reset_index(drop=True)
    if beyond == "shift":
        offset = np.where(start < 0, -start, np.minimum(length - end, 0))
        start, end = start + offset, end + offset
        outside = (start < 0) | (end > length)
    if beyond != "zeros" and outside.any():
        row = int(np.argmax(outside))
        raise InputError(
            f"the window of row {row}, {start[row]} to {end[row]}, sticks out of examples of {length} positions: "
            "choose beyond='zeros', 'shift' or 'drop', or a smaller width."
        )
    return seqlets.assign(start=start, end=end)
