"""Windows around seqlets, and what to do where they stick out of an example."""

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
    """Return the table with start and end of the windows to cut.

    Parameters
    ----------
    seqlets : pandas.DataFrame
        Columns example_idx, start and end.
    length : int
        Positions of each example.
    width : int, optional
        Of windows around the middle of each seqlet (of an odd rest, the larger half lies on the left); the
        seqlets themselves by default.
    beyond : {"error", "zeros", "shift", "drop"}
        What becomes of windows that stick out: "zeros" leaves them as they are, "shift" moves them inside
        and "drop" leaves them out.

    Returns
    -------
    pandas.DataFrame
        A copy; with a new index, where rows were dropped.

    Raises
    ------
    InputError
        If a window sticks out ("error") or does not fit ("shift"), or an argument cannot be used.

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
        by = np.where(start < 0, -start, np.minimum(length - end, 0))
        start, end = start + by, end + by
        outside = (start < 0) | (end > length)
    if beyond != "zeros" and outside.any():
        row = int(np.argmax(outside))
        raise InputError(
            f"the window of row {row}, {start[row]} to {end[row]}, sticks out of examples of {length} positions: "
            "choose beyond='zeros', 'shift' or 'drop', or a smaller width."
        )
    return seqlets.assign(start=start, end=end)
