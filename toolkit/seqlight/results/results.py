"""Read the results of a run from its folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from seqlight.attribution.layer_arrays import shown_arrays
from seqlight.errors import InputError, ResultsError, SeqlightError
from seqlight.files.folder import as_folder
from seqlight.files.stamp import FileStamp
from seqlight.notebook.markup import html_lines, html_table, shown_safely
from seqlight.notebook.small_logo import small_logo
from seqlight.results.column import Column
from seqlight.results.loci import read_loci, rows_at
from seqlight.results.manifest import Manifest, read_manifest
from seqlight.results.row_names import RowNames, read_row_names
from seqlight.results.shard_check import check_run_shard, read_run_shard
from seqlight.results.shards import Arrays, shard_path, shards_in
from seqlight.sequence.loci import Loci

if TYPE_CHECKING:
    import pandas as pd

# How many shards stay mapped: maps are cheap, but their number in a process is limited.
MAPPED = 1024
# How many rows a notebook shows as logos.
LOGOS = 3


def open_results(out: str | os.PathLike[str], *, incomplete: bool = False) -> Results:
    """Open the folder of a run: its arrays over all rows, in order, each read when it is indexed.

    Parameters
    ----------
    out : str or path
        The folder that :func:`seqlight.run` or ``ShardWriter`` wrote.
    incomplete : bool
        Open it even if rows are missing; reading those is then an error.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        If there is no run in the folder.
    ResultsError
        If rows are missing, unless `incomplete`; the message says how many and what to do. Or if manifest.json cannot
        be read, or does not belong to the shards.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 3))
    >>> with tempfile.TemporaryDirectory() as out:
    ...     _ = sl.run(model, sl.random_one_hot((5, 4, 10)), out=out, accelerator="cpu", progress=False)
    ...     sl.open_results(out)["predictions"][1:3].shape
    (2, 3)
    """
    folder = as_folder(out)
    manifest = read_manifest(folder)
    if manifest is None:
        raise InputError(f"{folder} holds no results: expected a folder that seqlight.run or ShardWriter wrote.")
    results = Results(folder, manifest)
    results.require_own()
    missing = [] if incomplete else results.missing()
    if missing:
        rows = sum(len(manifest.rows_of(k)) for k in missing)
        raise ResultsError(
            f"{rows} of {manifest.rows} rows are missing in {folder}: start the same run with the same `out` again, on "
            "any number of processes, and it makes only those; or read what is there with incomplete=True."
        )
    return results


def as_results(given: Results | str | os.PathLike[str]) -> Results:
    """Return results, which may be given as the folder of a run that is complete."""
    return given if isinstance(given, Results) else open_results(given)


class Results:
    """The arrays of a run, each over all rows.

    ``results["attributions"]`` is a :class:`Column`, which is indexed like an array; ``results.names`` lists the
    arrays, ``results.loci`` says where in a genome the rows are from, if they are, and ``results.row_names`` what they
    are called.

    Attributes
    ----------
    path : pathlib.Path
    manifest : Manifest
        What the run was.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self._mapped = functools.lru_cache(MAPPED)(self._read)

    @functools.cached_property
    def loci(self) -> Loci | None:
        """Where in a genome each row is from; None if the data did not say."""
        return read_loci(self.path, self.manifest)

    @functools.cached_property
    def row_names(self) -> tuple[str, ...] | None:
        """What each row is called in its data, such as the names of FASTA records; None if the data did not say."""
        return None if self._named is None else self._named.names

    @property
    def alphabet(self) -> str | None:
        """The letters in which rows are written, such as "ACGT", in the order of one-hot; None if not known."""
        return (self._named.letters if self._named is not None else "") or self.manifest.alphabet or None

    @functools.cached_property
    def _named(self) -> RowNames | None:
        return read_row_names(self.path, self.manifest)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays; none if there are no rows."""
        return tuple(self._first)

    @property
    def ledger(self) -> pd.DataFrame:
        """Which share of the output differences goes through what each module returns; of a run with ``layers``.

        Returns
        -------
        pandas.DataFrame
            As :attr:`seqlight.Explanation.ledger`, of all rows.

        Raises
        ------
        InputError
            If the run kept none.

        Examples
        --------
        >>> import tempfile
        >>> import torch
        >>> import seqlight as sl
        >>> from seqlight.lit import DeepLiftShapModule
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 3), torch.nn.ReLU())
        >>> job = DeepLiftShapModule(model, n_shuffles=3, layers=True)
        >>> X = sl.random_one_hot((5, 4, 20), random_state=0)
        >>> with tempfile.TemporaryDirectory() as out:
        ...     sl.run(job, X, out=out, accelerator="cpu", progress=False).ledger["layer"].tolist()
        ['0', '1', '2']
        """
        from seqlight.results.stored_ledger import read_ledger

        return read_ledger(self)

    def missing(self) -> list[int]:
        """Return the numbers of the shards that are missing."""
        there = shards_in(self.path)
        return [k for k in range(self.manifest.shards) if k not in there]

    def require_own(self) -> None:
        """Raise ResultsError if there are more shards than the manifest has, or the first belongs to another run."""
        more = max(shards_in(self.path), default=-1)
        if more >= self.manifest.shards:
            raise ResultsError(
                f"{shard_path(self.path, more)} is a shard more than the {self.manifest.shards} that {len(self)} rows "
                "make: was manifest.json changed, or the shard copied here? Restore the one, or move the other away."
            )
        _ = self._first

    def rows_at(self, locus: str) -> NDArray[np.int64]:
        """Return the rows whose windows overlap a locus, ``"chr1:1000-2000"`` or ``"chr1"``.

        Raises
        ------
        InputError
            If it is not a locus, the rows have none, or its chromosome has no rows.
        """
        if self.loci is None:
            raise InputError(f"the rows of {self.path} have no loci: run on data that have `.loci`, or give numbers.")
        return rows_at(self.loci, locus)

    def verify(self) -> None:
        """Read everything, compare it with its checksums, and check that all shards belong to the run and match.

        Raises
        ------
        ResultsError
            If a shard is missing, damaged, or holds other rows or those of another run; the message names it.
        """
        columns = [self[name] for name in self.names]
        for k in range(self.manifest.shards):
            check_run_shard(self.path, self.manifest, k)
            for column in columns:
                column.shard(k)
        _ = self.loci, self.row_names

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"results have no attribute {name!r}{self._hint(name)}.", name=name, obj=self)

    def _hint(self, name: str) -> str:
        """Return what to do instead of reading an attribute that does not exist."""
        if name.startswith("_") or "manifest" not in self.__dict__:  # asked for by pickle and notebooks
            return ""
        try:
            return f": expected results[{name!r}], which is an array" if name in self.names else ""
        except (SeqlightError, OSError):  # a folder that is damaged or gone
            return ""

    def __getitem__(self, name: str) -> Column:
        if not isinstance(name, str):
            raise InputError(
                f"results are indexed with {name!r}: expected the name of an array first, as in "
                f"results[{next(iter(self.names), 'outputs')!r}][:10]."
            )
        if name not in self.names:
            there = ", ".join(map(repr, self.names)) or "none, for the run has no rows"
            raise InputError(f"there is no {name!r} in {self.path}: expected one of {there}.")
        once = functools.partial(self._array, name=name, keep=False)
        return Column(name, self.manifest, lambda k: self._array(k, name), self._first[name], self.rows_at, once)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.manifest.rows

    def __repr__(self) -> str:
        lines = [f"  {said}: {self[name].shape} {self[name].dtype}" for name, said in shown_arrays(self.names).items()]
        return "\n".join([f"Results of {len(self)} rows in {self.path}", *lines])

    @shown_safely
    def _repr_html_(self) -> str:
        missing = len(self.missing())
        lines = [f"Results of {len(self)} rows in {self.path}"]
        lines += [f"{missing} of {self.manifest.shards} shards are missing"] if missing else []
        shown = ((self[name], said) for name, said in shown_arrays(self.names).items())
        rows = [[said, " x ".join(map(str, one.shape)), str(one.dtype)] for one, said in shown]
        return html_lines(lines) + html_table(["array", "shape", "dtype"], rows) + self._logos()

    @shown_safely
    def _logos(self) -> str:
        """Return logos of the first rows, of their first target; nothing if they are no attributions, or missing."""
        if "attributions" not in self or 0 in self.missing():
            return ""
        column = self["attributions"]
        shown = range(min(LOGOS, len(self), len(self.manifest.rows_of(0))))
        values = (column[i] if column.ndim == 3 else column[i, 0] for i in shown)
        return "".join(small_logo(one, self._label(i)) for i, one in zip(shown, values, strict=True))

    def _label(self, row: int) -> str:
        called = "" if self.row_names is None else self.row_names[row]
        if not called and self.loci is not None:
            called = f"{self.loci.chrom[row]}:{self.loci.start[row]}-{self.loci.end[row]}"
        return f"row {row}, {called}" if called else f"row {row}"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "manifest": self.manifest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @functools.cached_property
    def _first(self) -> Arrays:
        """The arrays of the first shard, which tell names, dtypes and shapes."""
        there = min(shards_in(self.path), default=None)
        return {} if there is None else self._mapped(there)[0]

    def _array(self, k: int, name: str, keep: bool = True) -> NDArray[Any]:
        found, stamp = self._mapped(k) if keep else self._read(k)
        # Touching a mapped page that the file no longer has would kill the process.
        stamp.require_unchanged(ResultsError)
        if name not in found:
            raise ResultsError(f"shard {k} of {self.path} has no {name!r}: delete it and run again.")
        more = next((one for one in found if one not in self._first), None)
        if more is not None:
            raise ResultsError(f"shard {k} of {self.path} has {more!r}, and others do not: delete it and run again.")
        return found[name]

    def _read(self, k: int) -> tuple[Arrays, FileStamp]:
        path = shard_path(self.path, k)
        # Taken before the file is mapped; if there is none, reading it raises the error.
        stamp = FileStamp.from_path(path) if path.exists() else None
        found = read_run_shard(self.path, self.manifest, k)
        return found, stamp or FileStamp.from_path(path)
