"""Write attributions as bigWig, for genome browsers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError
from seqlight.extras import import_extra
from seqlight.files.atomic import atomic_write
from seqlight.files.paths import file_to_write
from seqlight.sequence.checks import as_tensor
from seqlight.sequence.loci import Loci, as_loci, as_sizes, sizes_by_name

Overlaps = Literal["mean", "nearest", "error"]

# The largest value, and the longest chromosome, that a bigWig file can hold.
LARGEST, LONGEST = float(np.finfo(np.float32).max), 2**32 - 1


class _Values(NamedTuple):
    """Values at positions of one chromosome, and the distance of each from the middle of its window."""

    position: NDArray[np.int64]
    value: NDArray[np.float64]
    distance: NDArray[np.int64]


def write_bigwig(
    path: str | os.PathLike[str],
    track: Tensor | NDArray[Any],
    loci: Loci | pd.DataFrame,
    chrom_sizes: Mapping[str, int],
    overlaps: Overlaps = "mean",
) -> None:
    """Write one number per position, such as attributions, with pyBigWig.

    Parameters
    ----------
    path : str or path
        The file to write.
    track : torch.Tensor or numpy.ndarray, shape (windows, positions) or (windows, letters, positions)
        Letters are summed, which leaves the contributions of the characters that are present.
    loci : Loci, or pandas.DataFrame with the columns chrom, start, end and maybe strand
        Where the windows were cut from. On "-" the track is reversed; what lies off a chromosome is left out.
    chrom_sizes : mapping of str to int
        The lengths of all chromosomes of the genome, in the order in which the file is to list them.
    overlaps : {"mean", "nearest", "error"}
        What to write where windows overlap: the mean, the value of the window whose middle is nearest (the first
        of equally near ones), or to raise an error instead.

    Raises
    ------
    InputError
        If shapes do not fit, a value is not finite, a chromosome has no size, or windows overlap ("error").
    MissingExtra
        If pyBigWig is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> loci = pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [150]})
    >>> write_bigwig("attributions.bw", np.ones((1, 50)), loci, {"chr1": 1000})  # doctest: +SKIP
    """
    if overlaps not in ("mean", "nearest", "error"):
        raise InputError(f"overlaps is {overlaps!r}: expected mean, nearest or error.")
    given = as_tensor(track, "track").detach()
    if given.is_complex():
        raise InputError("track holds complex numbers: expected real ones; use its .real or .abs().")
    values = given.to("cpu", torch.float64)
    values = values.sum(dim=1) if values.ndim == 3 else values
    if values.ndim != 2:
        raise InputError(f"track has shape {tuple(values.shape)}: expected (windows, positions), or letters between.")
    if not bool(torch.isfinite(values).all()):
        raise InputError("track holds NaN or infinity: expected finite numbers.")
    if values.numel() and float(values.abs().max()) > LARGEST:
        raise InputError(f"track holds numbers beyond {LARGEST:.3g}, the largest that a bigWig file can: scale them.")
    places = as_loci(loci, n=len(values), length=values.shape[1])
    chrom_sizes = sizes_by_name(chrom_sizes)
    for chrom, size in chrom_sizes.items():
        if size > LONGEST or "\0" in chrom:
            raise InputError(
                f"chrom_sizes has {chrom!r} of {size} positions: a bigWig file takes at most {LONGEST}, and no zero "
                "bytes in a name."
            )
    sizes = as_sizes(chrom_sizes, places)
    big = import_extra("pyBigWig", "tracks")
    with atomic_write(file_to_write(path)) as partial:
        file = big.open(str(partial), "w")
        try:
            file.addHeader(list(chrom_sizes.items()))
            for chrom in chrom_sizes:
                rows = np.flatnonzero(places.chrom == chrom)
                if len(rows):
                    at = _on_chromosome(values.numpy()[rows], Loci(*(one[rows] for one in places)), int(sizes[rows[0]]))
                    for first, run in _runs(*_merged(at, overlaps, chrom)):
                        # pyBigWig takes arrays only if it was built with NumPy.
                        file.addEntries(chrom, first, values=run if big.numpy else run.tolist(), span=1, step=1)
        finally:
            file.close()


def _on_chromosome(values: NDArray[np.float64], loci: Loci, size: int) -> _Values:
    """Return the values of all windows of a chromosome that lie on it."""
    length = values.shape[1]
    forward = np.where((loci.strand == "-")[:, None], values[:, ::-1], values)
    position = loci.start[:, None] + np.arange(length)
    on = (position >= 0) & (position < size)
    # Doubled, so that the distance is a whole number for windows of even length too.
    distance = np.abs(2 * np.arange(length) - (length - 1))
    return _Values(position[on], forward[on], np.broadcast_to(distance, on.shape)[on])


def _merged(at: _Values, overlaps: Overlaps, chrom: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return each position once, ascending, with its value."""
    order = np.lexsort((at.distance, at.position))
    position, value = at.position[order], at.value[order]
    first = np.ones(len(position), dtype=bool)
    first[1:] = position[1:] != position[:-1]
    if overlaps == "error" and not first.all():
        raise InputError(
            f"windows overlap at {chrom}:{position[~first][0]}: choose overlaps='mean' or 'nearest', or other windows."
        )
    if overlaps == "mean" and len(position):
        starts = np.flatnonzero(first)
        return position[first], np.add.reduceat(value, starts) / np.diff(np.append(starts, len(position)))
    return position[first], value[first]


def _runs(position: NDArray[np.int64], value: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield the first position and the values of each stretch without a gap."""
    borders = np.flatnonzero(np.diff(position) != 1) + 1
    for places, run in zip(np.split(position, borders), np.split(value, borders), strict=True):
        if len(places):
            yield int(places[0]), run
