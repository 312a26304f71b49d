"""What ``seqlight fit`` says at its end: where the checkpoints are, and the command that explains the model."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

NONE = "no checkpoint was written, as the trainer was told"


def checkpoint_lines(callbacks: Iterable[Any]) -> tuple[list[str], str | None]:
    """Return a line for each checkpoint that a training has kept, and the path of the best or else the latest.

    Parameters
    ----------
    callbacks : iterable of lightning.pytorch.callbacks.Checkpoint
        Those of the trainer. One that monitors a metric knows the best; another one keeps the latest.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> of_metric = {"monitor": "valid_loss", "best_model_score": 0.5}
    >>> checkpoint_lines([SimpleNamespace(best_model_path="a/b.ckpt", last_model_path="", **of_metric)])
    (['best checkpoint, valid_loss = 0.5: a/b.ckpt'], 'a/b.ckpt')
    """
    best, latest = {}, {}
    for one in callbacks:
        path, last, monitor = (getattr(one, name, None) for name in ("best_model_path", "last_model_path", "monitor"))
        if path and monitor:
            score = getattr(one, "best_model_score", None)
            best[_shown(path)] = f"best checkpoint, {monitor}{'' if score is None else f' = {float(score):.4g}'}"
        elif path:
            latest[_shown(path)] = "last checkpoint"
        if last and _shown(last) not in best:
            latest[_shown(last)] = "last checkpoint"
    lines = [f"{what}: {path}" for path, what in (best | latest).items()]
    return lines or [NONE], next(iter(best | latest), None)


def attribute_line(model: Mapping[str, Any], checkpoint: str) -> str:
    """Return the command that attributes with a trained model, for a shell.

    Parameters
    ----------
    model : mapping
        As in the configuration of the training: ``class_path``, and ``init_args`` if there are any.
    checkpoint : str
        The path of its weights.

    Examples
    --------
    >>> attribute_line({"class_path": "my_models.Net", "init_args": {"width": 64}}, "a b.ckpt")
    "seqlight attribute --model my_models.Net --init_args width=64 --checkpoint 'a b.ckpt' --data FILE --out FOLDER"
    """
    class_path, given = model["class_path"], model.get("init_args") or {}
    usual = _defaults(class_path)
    chosen = {name: one for name, one in given.items() if name not in usual or usual[name] != one}
    words = ["seqlight", "attribute", "--model", class_path]
    if chosen:
        words += ["--init_args", *(f"{name}={_typed(one)}" for name, one in chosen.items())]
    return f"{shlex.join([*words, '--checkpoint', checkpoint])} --data FILE --out FOLDER"


def _shown(path: str) -> str:
    """Return a path as it is seen from the current folder, if it lies inside of it."""
    where = Path(path)
    here = Path(os.getcwd())
    return str(where.relative_to(here) if where.is_relative_to(here) else where)


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _defaults(class_path: str) -> dict[str, Any]:
    """Return what the arguments of a class are if they are not given; nothing where that is not known."""
    module, _, name = class_path.rpartition(".")
    try:
        parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
    except (ImportError, AttributeError, TypeError, ValueError):
        return {}
    return {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}
