"""The model of a command with all that belongs to it: several checkpoints, strands and shifts are one ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def open_network(
    model: str | Mapping[str, Any] | None,
    checkpoint: Path | list[Path] | None = None,
    module: str | None = None,
    init_args: Mapping[str, Any] | None = None,
    trusted: bool = False,
    *,
    strands: Any = "forward",
    shifts: list[int] | None = None,
    positions: Any = None,
    strand_channels: int | None = None,
    alphabet: str = "DNA",
) -> nn.Module:
    """Return the model that the options of a command describe.

    Parameters
    ----------
    model : str, mapping or None
        As in :func:`seqlight.cli.models.open_model`, or a mapping with ``class_path`` and ``init_args``.
    checkpoint : path or list of paths, optional
        Several are the folds of an ensemble. Without one, a model that is made by its class has the weights with which
        this begins, the same at each start and in each process, and that is said.
    module, init_args, trusted
        As in :func:`seqlight.cli.models.open_model`.
    strands, shifts, positions, strand_channels
        As in :class:`seqlight.Ensemble`.
    alphabet : str
        What sequences are written in, which has the partner of each letter on the other strand.

    Returns
    -------
    torch.nn.Module
        A :class:`seqlight.Ensemble` if there are several members.

    Raises
    ------
    InputError
        If the model cannot be made, or the checkpoint does not fit; or an option for strands has nothing to do.
    """
    import torch

    from seqlight.cli.models import open_model
    from seqlight.errors import InputError, SeqlightError

    if strand_channels is not None and strands == "forward":
        raise InputError(
            f"strand_channels is {strand_channels}, and strands is forward: add `--strands both`, or leave it out."
        )
    partners: dict[str, Any] = {} if strands == "forward" else {"complement": _partners(alphabet)}
    name, arguments = _of_class(model, init_args)
    checkpoints = checkpoint if isinstance(checkpoint, list) else [checkpoint]
    # The random generators of the caller stay as they are, and no device is started: weights are drawn on the CPU.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        try:
            models = [open_model(name, one, module, arguments, trusted) for one in checkpoints]
        except SeqlightError:
            raise
        except Exception as error:
            raise InputError(
                f"{name} cannot be made ({type(error).__name__}: {error}): expected arguments that its class takes; "
                "look at --init-args."
            ) from error
    if None in checkpoints and any(True for _ in models[0].parameters()):
        _say_untrained()
    if len(models) == 1 and strands == "forward" and not shifts:
        return models[0]
    from seqlight.prediction.ensemble import Ensemble

    return Ensemble(
        models,
        strands,
        [0] if shifts is None else shifts,
        positions=positions,
        strand_channels=strand_channels,
        **partners,
    ).eval()


def _partners(alphabet: str) -> list[int]:
    """Return the number of the partner of each letter."""
    from seqlight.errors import InputError
    from seqlight.sequence.alphabets import as_alphabet

    partners = as_alphabet(alphabet).partners
    if not partners:
        raise InputError(
            f"alphabet is {alphabet!r}, whose letters have no partners on another strand: leave --strands out."
        )
    return partners


def _of_class(
    model: str | Mapping[str, Any] | None, init_args: Mapping[str, Any] | None
) -> tuple[str | None, Mapping[str, Any] | None]:
    """Return the class of a model and its arguments, which may be those of the class and more typed beside it."""
    from seqlight.errors import InputError

    if not isinstance(model, Mapping):
        return model, init_args
    if set(model) - {"class_path", "init_args"} or "class_path" not in model:
        raise InputError(f"model is {dict(model)!r}: expected class_path and, if needed, init_args.")
    return str(model["class_path"]), {**(model.get("init_args") or {}), **(init_args or {})}


def _say_untrained() -> None:
    from seqlight.cli.console import process_number, say

    if not process_number():
        say("there is no --checkpoint: the model has the weights with which its class begins.")
