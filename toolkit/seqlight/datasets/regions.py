"""Regions of a genome, from files and tables."""

from __future__ import annotations

import os
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqlight.errors import InputError, SeqlightWarning, kind_of
from seqlight.files.source_types import RegionSources
from seqlight.formats.bed_reader import Format, read_bed, require_format
from seqlight.sequence.loci import Loci, as_loci

# Names that users of pandas give to a column of summits, without signs and in lower case.
_SUFFIX = "pos|position|offset|point|start"
_SUMMIT = re.compile(rf"(rel|abs|relative|absolute|peak)?summit({_SUFFIX})?|peak({_SUFFIX})?|pointsource")


def as_regions(source: RegionSources, format: Format = "auto", name: str = "regions") -> pd.DataFrame:
    """Return regions as a table with at least chrom, start, end and strand.

    Parameters
    ----------
    source : str, path, pandas.DataFrame or Loci, or sequence of them
        A file for `read_bed`, or a table with the same columns. Several are concatenated.
    format : str
        The format of files; see `read_bed`.
    name : str
        The name of the argument, for error messages.

    Returns
    -------
    pandas.DataFrame
        Rows are numbered from 0. For several sources the column source has the number of each, from 0.
    """
    listed = as_list(source)
    if not listed:
        raise InputError(f"{name} is empty: expected at least one BED file or table.")
    if len(listed) == 1 and listed[0] is source:
        return _one(source, format, name)
    joined = pd.concat([_one(one, format, name).assign(source=i) for i, one in enumerate(listed)], ignore_index=True)
    if "summit" in joined:
        joined["summit"] = joined["summit"].fillna(-1).astype(np.int64)
    return joined


def as_list(source: RegionSources) -> list[Any]:
    """Return the sources in a list; a single source becomes a list of one."""
    return list(source) if isinstance(source, list | tuple) and not isinstance(source, Loci) else [source]


def _one(source: Any, format: Format, name: str) -> pd.DataFrame:
    require_format(format)
    if isinstance(source, str | os.PathLike):
        table = read_bed(source, format)
    elif isinstance(source, pd.DataFrame | Loci):
        loci = as_loci(source, name=name)
        table = source.reset_index(drop=True) if isinstance(source, pd.DataFrame) else pd.DataFrame(loci._asdict())
        table = table.assign(chrom=loci.chrom, start=loci.start, end=loci.end, strand=loci.strand)
        if "summit" in table:
            table["summit"] = _summits(table)
    else:
        raise InputError(f"{name} is {kind_of(source)}: expected the path of a BED file, a table or Loci.")
    return table if "strand" in table else table.assign(strand=".")


def warn_about_summits(table: pd.DataFrame) -> None:
    """Warn of a column that seems to hold summits under another name, and is not read."""
    for column in () if "summit" in table else table.columns:
        name = re.sub(r"[\W_]", "", str(column).lower())
        if _SUMMIT.fullmatch(name) and pd.api.types.is_numeric_dtype(table[column]):
            warnings.warn(
                f"the column {column!r} of the regions is not read, and windows are put around their centres: for "
                "summits add a column summit, such as start + the tenth column of a narrowPeak.",
                SeqlightWarning,
                stacklevel=3,
            )


def _summits(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the summits of a table, -1 where there is none; InputError if one is outside of its region."""
    try:
        found = table["summit"].to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError):
        raise InputError(
            f"the column 'summit' holds {kind_of(table['summit'].iloc[0])}: expected positions, or -1."
        ) from None
    summit = np.where(np.isnan(found), -1, found)
    start, end = table["start"].to_numpy(), table["end"].to_numpy()
    bad = (summit != np.floor(summit)) | ((summit != -1) & ((summit < start) | (summit >= end)))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"region {row}, {table['chrom'].iloc[row]}:{start[row]}-{end[row]}, has its summit at {found[row]:.15g}, "
            "outside: expected a position on the chromosome (of a narrowPeak's tenth column, start + summit), or -1."
        )
    return summit.astype(np.int64)
