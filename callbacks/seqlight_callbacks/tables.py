"""Tables written atomically, as csv or parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

from seqlight.files.atomic import atomic_write

TableFormat: TypeAlias = Literal["csv", "parquet"]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index, as csv or parquet by the suffix of `path`; its folder is made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_table(pd.DataFrame({"start": [3], "end": [8]}), Path(folder) / "new" / "seqlets.csv")
    ...     (Path(folder) / "new" / "seqlets.csv").read_text().split()
    ['start,end', '3,8']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        if path.suffix == ".parquet":
            table.to_parquet(partial, index=False)
        else:
            table.to_csv(partial, index=False)
