"""Write the results of a run as one file, for programs that do not read shards."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqlight.errors import DiskError, InputError, SeqlightError
from seqlight.extras import import_extra
from seqlight.files.abandoned_files import remove_abandoned
from seqlight.files.atomic import atomic_write
from seqlight.files.folder import as_folder
from seqlight.files.paths import as_path
from seqlight.formats.modisco_writer import write_modisco
from seqlight.formats.npz_writer import ArrayBlocks, write_npz
from seqlight.results.results import Results, as_results
from seqlight.sequence.alphabets import DNA, RNA, as_alphabet

# The files of a run, and those by which a Zarr store is known, in its second format or its third.
OURS = re.compile(r"shard-\d{6}\.npz|loci\.npz|row_names\.npz|manifest\.json|\.locks")
STORES = ("zarr.json", ".zgroup", ".zarray")


def consolidate(
    results: Results | str | os.PathLike[str], to: str | os.PathLike[str], names: str | Sequence[str] | None = None
) -> Path:
    """Write the results of a run as one file, a shard at a time, after comparing them with their checksums.

    Parameters
    ----------
    results : Results, str or path
        The results, or the folder of a run.
    to : str or path
        ``.npz``, ``.h5`` or ``.hdf5`` (needs h5py), ``.zarr`` (needs zarr): all arrays under their names, the loci as
        chrom, start, end and strand below ``loci/`` (in Zarr, chrom and strand are numbers, with their texts in the
        attribute ``names``), and the names of rows as ``row_names`` (in Zarr an attribute). HDF5 and Zarr also have the
        manifest as an attribute. A name without a suffix is a folder for TF-MoDISco, with ``ohe.npz`` and ``shap.npz``;
        it needs a run of ``DeepLiftShapModule(hypothetical=True)``.
    names : str or sequence of str, optional
        The arrays to write; all by default.

    Returns
    -------
    pathlib.Path
        `to`. After an error nothing is there.

    Raises
    ------
    InputError
        If there is no such format or array, or `to` is a folder where a file is wanted, a file where a folder is
        wanted, or would overwrite the results.
    ResultsError
        If rows are missing or a shard is damaged.
    DiskError
        If `to` cannot be written, for instance on a full disk.
    MissingExtra
        If the library for the format is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import torch
    >>> import seqlight as sl
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 3))
    >>> with tempfile.TemporaryDirectory() as out:
    ...     results = sl.run(model, sl.random_one_hot((5, 4, 10)), out=out, accelerator="cpu", progress=False)
    ...     np.load(sl.consolidate(results, f"{out}/all.npz"))["predictions"].shape
    (5, 3)
    """
    path = as_path(to, "to")
    as_folder(path.parent, "to")
    opened = as_results(results)
    if path.suffix not in FORMATS:
        raise InputError(f"{path.name} ends in {path.suffix!r}: expected one of {', '.join(filter(None, FORMATS))}.")
    wanted = [names] if isinstance(names, str) else list(opened.names if names is None else names)
    for name in wanted:
        _ = opened[name]
    require_free(path, opened)
    opened.verify()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(opened, path, wanted)
    except OSError as error:
        if isinstance(error, SeqlightError):
            raise
        raise DiskError(
            f"{path} could not be written ({error.strerror or error}): make room or give another name; the results "
            "have not changed.",
            error.errno,
        ) from error
    return path


def write_arrays(results: Results, path: Path, names: Sequence[str]) -> None:
    """Write arrays of a run, in the format of the suffix of `path`, a shard at a time."""
    for one in (path / "ohe.npz", path / "shap.npz") if not path.suffix else (path,):
        remove_abandoned(one, folder=path.suffix == ".zarr")
    FORMATS[path.suffix](results, path, names)


def require_free(path: Path, results: Results) -> None:
    """Raise InputError if writing would replace the results, or something of another kind."""
    there, folder = path.resolve(), results.path.resolve()
    # A Zarr store replaces the folder that has its name.
    taken = path.suffix == ".zarr" and there in (folder, *folder.parents)
    if taken or (there.parent == folder and OURS.fullmatch(there.name)):
        raise InputError(f"to is {str(path)!r}, where the results themselves are: give another name.")
    if not path.exists():
        return
    if path.suffix in ("", ".zarr"):
        if not path.is_dir():
            raise InputError(f"to is {str(path)!r}, which is a file: expected a folder, or a name that is free.")
        if path.suffix and any(path.iterdir()) and not any((path / name).exists() for name in STORES):
            raise InputError(f"to is {str(path)!r}, a folder that is no zarr store: give a name that is free.")
    elif path.is_dir():
        raise InputError(f"to is {str(path)!r}, which is a folder: expected a file, or a name that is free.")


def require_modisco_letters(results: Results, alphabet: str | None = None) -> None:
    """Raise InputError if sequences are known to be in other letters, or in another order, than TF-MoDISco has them."""
    given = alphabet or results.alphabet
    if given is not None and (letters := as_alphabet(given).letters) not in (DNA.letters, RNA.letters):
        raise InputError(
            f"{results.path} has sequences in the letters {letters}: TF-MoDISco takes them for A, C, G and T in this "
            "order; attribute with a model of that order."
        )


def _npz(results: Results, path: Path, names: Sequence[str]) -> None:
    columns = {name: results[name] for name in names}
    arrays = {name: ArrayBlocks(one.shape, one.dtype, one.blocks()) for name, one in columns.items()}
    names_of_rows = {} if results.row_names is None else {"row_names": np.array(results.row_names, dtype=np.str_)}
    write_npz(path, {**arrays, **names_of_rows, **{f"loci/{name}": one for name, one in _loci(results).items()}})


def _hdf5(results: Results, path: Path, names: Sequence[str]) -> None:
    h5py = import_extra("h5py", "export")
    with atomic_write(path) as partial, h5py.File(partial, "w") as file:
        for name in names:
            column = results[name]
            made = file.create_dataset(name, column.shape, column.dtype, chunks=_chunk(column.shape), compression="lzf")
            _fill(made, results, name)
        for name, one in _loci(results).items():
            file[f"loci/{name}"] = one.astype(object) if one.dtype.kind == "U" else one
        if results.row_names is not None:
            file["row_names"] = np.array(results.row_names, dtype=object)
        file.attrs["manifest"] = json.dumps(asdict(results.manifest))


def _zarr(results: Results, path: Path, names: Sequence[str]) -> None:
    zarr = import_extra("zarr", "export")
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        group = zarr.open_group(str(partial), mode="w")
        for name in names:
            column = results[name]
            made = group.create_array(name, shape=column.shape, dtype=column.dtype, chunks=_chunk(column.shape))
            _fill(made, results, name)
        for name, one in _loci(results).items():
            # Zarr has no settled form for text, so it is written as numbers, with the texts in an attribute.
            if one.dtype.kind == "U":
                texts, one = np.unique(one, return_inverse=True)
                group.create_array(f"loci/{name}", data=one).attrs["names"] = texts.tolist()
            else:
                group.create_array(f"loci/{name}", data=one)
        if results.row_names is not None:
            group.attrs["row_names"] = list(results.row_names)
        group.attrs["manifest"] = asdict(results.manifest)
        # A folder cannot be replaced in one step: the old one is removed first.
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _modisco(results: Results, path: Path, names: Sequence[str]) -> None:
    for name in ("sequences", "hypothetical"):
        if name not in results:
            raise InputError(
                f"there is no {name!r} in {results.path}, and TF-MoDISco needs it: "
                "attribute with DeepLiftShapModule(..., hypothetical=True)."
            )
    require_modisco_letters(results)
    write_modisco(path, torch.from_numpy(results["sequences"].numpy()), results["hypothetical"].numpy())


def _fill(made: Any, results: Results, name: str) -> None:
    first = 0
    for block in results[name].blocks():
        made[first : first + len(block)] = np.asarray(block)
        first += len(block)


def _chunk(shape: tuple[int, ...]) -> tuple[int, ...] | bool:
    """Return the shape of chunks of whole rows, of about 256,000 numbers."""
    each = max(1, int(np.prod(shape[1:])))
    return (max(1, min(shape[0], 256_000 // each)), *(max(1, one) for one in shape[1:]))


def _loci(results: Results) -> dict[str, Any]:
    return {} if results.loci is None else {name: np.asarray(one) for name, one in results.loci._asdict().items()}


FORMATS: dict[str, Callable[[Results, Path, Sequence[str]], None]] = {
    ".npz": _npz,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".zarr": _zarr,
    "": _modisco,
}
