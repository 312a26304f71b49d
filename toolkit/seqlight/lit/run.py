"""A run in one line: any module, any data, any number of devices, results from disk."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as L
from torch import nn

from seqlight.errors import InputError
from seqlight.lit.attribution_module import DeepLiftShapModule
from seqlight.lit.prediction_module import PredictModule
from seqlight.lit.progress_bar import RowsBar
from seqlight.lit.shard_writer import ShardWriter
from seqlight.lit.sharded_data import ShardedDataModule
from seqlight.prediction.arguments import require_module
from seqlight.prediction.borrowed_model.borrow import borrow
from seqlight.results.fingerprints import require_identity
from seqlight.results.manifest import read_manifest
from seqlight.results.results import Results, open_results


def run(
    module: nn.Module,
    data: Any,
    out: str | os.PathLike[str],
    *,
    devices: int | list[int] | str = "auto",
    num_nodes: int = 1,
    strategy: Any = "auto",
    accelerator: str = "auto",
    precision: Any = None,
    batch_size: int | None = None,
    shard_rows: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    identity: str | None = None,
    **settings: Any,
) -> Results:
    """Predict or attribute all rows of a data set, on one device or many, and return the results.

    Rows come back complete and in order, whatever the number of processes. An interrupted run that is started again, on
    any number of processes, makes what is missing. The model is given back as it was.

    Parameters
    ----------
    module : PredictModule, DeepLiftShapModule or torch.nn.Module
        What to do; a model alone is predicted with.
    data : torch.Tensor, numpy.ndarray, tuple of these, map-style Dataset, DataLoader or LightningDataModule
        The rows, as in :class:`seqlight.lit.ShardedDataModule`.
    out : str or path
        A folder for the results, on a file system that all machines share.
    devices, num_nodes, strategy, accelerator, precision
        Of the Trainer. "auto" starts a script again for each device; strategies that spawn or fork do not, and
        within pytest "auto" spawns.
    batch_size : int, optional
        Rows at a time, on each device; None for that of a DataLoader, else 32.
    shard_rows : int, optional
        Rows in a file; a process that is killed loses one.
    workers : int, optional
        Processes that read, for each device.
    progress : bool
        Show a bar with rows a second and the time left, and a line for each process at the end.
    identity : str, optional
        A name for what is computed, such as ``"my target, version 2"``. Whether the folder is of the same run is then
        told by this name, weights, data and numbers, and not by the code of the model and of functions and what hangs
        on them. For what cannot be described; give another name whenever something changes.
    **settings
        Further arguments of the Trainer.

    Returns
    -------
    Results
        The same in every process.

    Raises
    ------
    InputError
        If an argument cannot be used, such as an `out` that is a file or an address.
    ResultsError
        If `out` is of another run or in use by one, or a process has ended before its time.
    DiskError
        If a file cannot be written, as on a full disk; the same call goes on when there is room.

    Warns
    -----
    SeqlightWarning
        Of each shard that an earlier start made and that is damaged or not of this run: it is made again.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> import seqlight as sl
    >>> from seqlight.lit import DeepLiftShapModule
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1))
    >>> X = sl.random_one_hot((5, 4, 20), random_state=0)
    >>> with tempfile.TemporaryDirectory() as out:
    ...     found = sl.run(DeepLiftShapModule(model), X, out=out, accelerator="cpu", progress=False)
    ...     found["attributions"][3:].shape
    (2, 4, 20)
    """
    require_module(module)
    _require_settings(settings)
    job = module if isinstance(module, PredictModule | DeepLiftShapModule) else PredictModule(module)
    writer = ShardWriter(out, shard_rows)
    rows = data if isinstance(data, ShardedDataModule) else ShardedDataModule(data, batch_size, workers)
    mine = [writer, *([RowsBar()] if progress else [])]
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "default_root_dir": str(writer.out),
    }
    with _heard(progress), _given_back(job.model), _named(job, identity), warnings.catch_warnings():
        # A process without rows, for all are there or there are few, is nothing to warn of.
        warnings.filterwarnings("ignore", "Total length of `DataLoader` across ranks is zero")
        trainer = L.Trainer(
            devices=devices,
            num_nodes=num_nodes,
            strategy=_strategy(strategy, devices),
            accelerator=accelerator,
            precision=precision,
            enable_progress_bar=False,
            callbacks=[*mine, *settings.pop("callbacks", ())],
            **quiet | settings,
        )
        trainer.predict(job, datamodule=rows, return_predictions=False)
    manifest = read_manifest(writer.out)
    # Process 0 has seen that all is there; another machine may see it later.
    return open_results(writer.out) if trainer.is_global_zero or manifest is None else Results(writer.out, manifest)


def _require_settings(settings: dict[str, Any]) -> None:
    """Raise InputError for what is no argument of the Trainer."""
    known = inspect.signature(L.Trainer).parameters
    for name in settings:
        if name in inspect.signature(DeepLiftShapModule).parameters:
            raise InputError(
                f"run has no argument {name!r}: give it to the module, DeepLiftShapModule(model, {name}=...)."
            )
        if name not in known:
            raise InputError(f"run has no argument {name!r}, and neither has Lightning's Trainer: leave it out.")


def _strategy(strategy: Any, devices: Any) -> Any:
    """Return the strategy; not one that starts the script again where that is pytest."""
    several = devices not in ("auto", 1, "1")
    return "ddp_spawn" if strategy == "auto" and several and "PYTEST_CURRENT_TEST" in os.environ else strategy


@contextlib.contextmanager
def _given_back(model: nn.Module) -> Iterator[None]:
    parameter = next(model.parameters(), None)
    if parameter is None:
        yield
        return
    # A forward may keep what it has worked out; the same call again would be one with another model.
    with borrow(model, parameter.device, attributes=True):
        yield


@contextlib.contextmanager
def _named(job: PredictModule | DeepLiftShapModule, identity: str | None) -> Iterator[None]:
    """Let what is to do bear the name that was given, if one was."""
    before = job.identity
    job.identity = before if identity is None else require_identity(identity)
    try:
        yield
    finally:
        job.identity = before


@contextlib.contextmanager
def _heard(progress: bool) -> Iterator[None]:
    """Show what is logged, unless the caller has said where it goes, and not what Lightning says of itself."""
    log, lightning = logging.getLogger("seqlight"), logging.getLogger("lightning.pytorch.utilities.rank_zero")
    levels, handler = (log.level, lightning.level), logging.StreamHandler()
    lightning.setLevel(max(lightning.level, logging.WARNING))
    if progress and not log.hasHandlers():
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(levels[0])
        lightning.setLevel(levels[1])
