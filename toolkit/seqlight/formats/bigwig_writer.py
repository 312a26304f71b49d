"""Write attributions as bigWig, for genome browsers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlight.errors import InputError
from seqlight.files.paths import file_to_write
from seqlight.formats.bigwig_file import bigwig_file
from seqlight.formats.chromosome_sizes import as_chromosome_sizes
from seqlight.formats.merged_windows import Overlaps, PlacedWindows, merge_windows, require_overlaps
from seqlight.sequence.checks import as_tensor
from seqlight.sequence.loci import Loci, as_loci, as_sizes, sizes_by_name

if TYPE_CHECKING:
    from seqlight.results.column import Column
    from seqlight.results.results import Results

# The largest value, and the longest chromosome, that a bigWig file can hold.
LARGEST, LONGEST = float(np.finfo(np.float32).max), 2**32 - 1
# Numbers that are in memory at a time.
_NUMBERS = 2**20


def write_bigwig(
    path: str | os.PathLike[str],
    track: Tensor | NDArray[Any] | Column | Results,
    loci: Loci | pd.DataFrame | None = None,
    chrom_sizes: Mapping[str, int] | str | os.PathLike[str] | None = None,
    overlaps: Overlaps = "mean",
    *,
    target: int | None = None,
) -> None:
    """Write one number per position, such as attributions.

    A few windows at a time are read, summed and written, so a track that is on disk may be larger than memory.

    Parameters
    ----------
    path : str or path
        The file to write.
    track : torch.Tensor, numpy.ndarray, Column or Results
        Shape (windows, positions) or (windows, letters, positions). Letters are summed, which leaves the contributions
        of the characters that are present. Of results, the array "track" or else "attributions" is taken.
    loci : Loci, or pandas.DataFrame with the columns chrom, start, end and maybe strand
        Where the windows were cut from. On "-" the track is reversed; what lies off a chromosome is left out. None:
        those of the results.
    chrom_sizes : mapping of str to int, str or path
        The lengths of all chromosomes of the genome, in the order in which the file is to list them; or the file that
        has them: the FASTA file of the genome, its .fai, or a table such as ``hg38.chrom.sizes``.
    overlaps : {"mean", "nearest", "error"}
        What to write where windows overlap: the mean, the value of the window whose middle is nearest (the first
        of equally near ones), or to raise an error instead.
    target : int, optional
        Which target to write, of a track with several, of shape (windows, targets, letters, positions).

    Raises
    ------
    InputError
        If shapes do not fit, a value is not finite, a chromosome has no size, or windows overlap ("error").

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> loci = pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [150]})
    >>> write_bigwig("attributions.bw", np.ones((1, 50)), loci, {"chr1": 1000})  # doctest: +SKIP
    """
    require_overlaps(overlaps)
    read, shape, found = _source(track, target)
    places = as_loci(_require_loci(loci, found), n=shape[0], length=shape[-1])
    sizes = require_bigwig_sizes(chrom_sizes)
    of_each = as_sizes(sizes, places)
    final = file_to_write(path)
    with bigwig_file(final, sizes) as file:
        rows_of: Mapping[Any, Any] = pd.Series(places.chrom).groupby(places.chrom).indices
        for chrom in sizes:
            if chrom in rows_of:
                rows = rows_of[chrom]
                mine = rows[np.argsort(places.start[rows], kind="stable")]
                blocks = _blocks(read, mine, places, int(of_each[rows[0]]), max(1, _NUMBERS // int(np.prod(shape[1:]))))
                for first, run in merge_windows(blocks, overlaps, chrom):
                    file.add(chrom, first, run)


def require_bigwig_sizes(chrom_sizes: Mapping[str, int] | str | os.PathLike[str] | None) -> dict[str, int]:
    """Return checked lengths of chromosomes; InputError if a bigWig file cannot hold one."""
    if isinstance(chrom_sizes, str | os.PathLike):
        sizes = as_chromosome_sizes(chrom_sizes)
    else:
        sizes = sizes_by_name(chrom_sizes)  # type: ignore[arg-type]
    for chrom, size in sizes.items():
        if size > LONGEST or "\0" in chrom:
            raise InputError(
                f"chrom_sizes has {chrom!r} of {size} positions: a bigWig file takes at most {LONGEST}, and no zero "
                "bytes in a name."
            )
    return sizes


def require_bigwig_values(values: NDArray[Any]) -> None:
    """Raise InputError for numbers that a bigWig file cannot hold."""
    # The sum is finite if all are, unless they are near the largest number.
    if not np.isfinite(values).all():
        raise InputError("track holds NaN or infinity: expected finite numbers.")
    if values.size and max(float(values.max()), -float(values.min())) > LARGEST:
        raise InputError(f"track holds numbers beyond {LARGEST:.3g}, the largest that a bigWig file can: scale them.")


def _source(
    track: Any, target: int | None
) -> tuple[Callable[[NDArray[np.int64]], NDArray[np.float64]], tuple[int, ...], Loci | None]:
    """Return a function that reads rows, summed over letters; the shape of what it reads from; and loci, if known."""
    loci: Loci | None = None
    if hasattr(track, "names") and hasattr(track, "loci"):  # Results, which are in a room above
        loci = track.loci
        track = track["track" if "track" in track else "attributions"]
    given: Any = track if hasattr(track, "blocks") else as_tensor(track, "track").detach()
    shape: tuple[int, ...] = tuple(given.shape)
    kind = given.dtype
    if kind.is_complex if isinstance(kind, torch.dtype) else np.issubdtype(kind, np.complexfloating):
        raise InputError("track holds complex numbers: expected real ones; use its .real or .abs().")
    letters = len(shape) - 2 - (target is not None)
    if letters not in (0, 1):
        raise InputError(
            f"track has shape {shape}: expected (windows, positions), or letters between; of several targets, choose "
            "one with `target`."
        )
    if target is not None and not -shape[1] <= target < shape[1]:
        raise InputError(f"target is {target}, and the track has {shape[1]}: expected one from 0 on.")

    def read(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        found = given[torch.from_numpy(rows).to(given.device)] if isinstance(given, Tensor) else given[rows]
        values = torch.as_tensor(found).to("cpu", torch.float64).numpy()
        values = values if target is None else values[:, target]
        return values.sum(axis=1) if letters else values

    return read, shape, loci


def _require_loci(loci: Loci | pd.DataFrame | None, found: Loci | None) -> Loci | pd.DataFrame:
    if loci is None and found is None:
        raise InputError("loci are missing: expected where in the genome each window was cut from.")
    return found if loci is None else loci  # type: ignore[return-value]


def _blocks(
    read: Callable[[NDArray[np.int64]], NDArray[np.float64]], rows: NDArray[np.int64], loci: Loci, size: int, most: int
) -> Iterator[PlacedWindows]:
    """Yield the windows of a chromosome, a few at a time."""
    for i in range(0, len(rows), most):
        mine = rows[i : i + most]
        values = read(mine)
        require_bigwig_values(values)
        turned = (loci.strand[mine] == "-")[:, None]
        forward = np.where(turned, values[:, ::-1], values) if turned.any() else values
        yield PlacedWindows(loci.start[mine], np.zeros_like(mine), np.full_like(mine, size), mine, forward)
