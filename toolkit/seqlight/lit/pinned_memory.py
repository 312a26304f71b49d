"""Batches in pinned memory, from which a device copies faster than from any other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lightning.pytorch as L
from torch import Tensor
from torch.utils._pytree import tree_map_only
from torch.utils.data import default_collate

from seqlight.prediction.host_copies import can_pin


def should_pin(trainer: L.Trainer | None, data: Iterable[Any] = ()) -> bool:
    """Return whether a loader should pin its batches: for a device that gains from it, and data on the CPU.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer, optional
        Which computes on the device; without one nothing is pinned.
    data : iterable
        The arrays that rows are taken from, if there are such.
    """
    if trainer is None or not can_pin(trainer.strategy.root_device.type):
        return False
    return all(one.is_cpu for one in data if isinstance(one, Tensor))


def collate_on_cpu(rows: list[Any]) -> Any:
    """Return rows as a batch on the CPU, since only that can be pinned."""
    return bring_to_cpu(default_collate(rows))


def bring_to_cpu(batch: Any) -> Any:
    """Return a batch with all its tensors on the CPU.

    Examples
    --------
    >>> import torch
    >>> bring_to_cpu((torch.ones(2), {"y": 3}))
    (tensor([1., 1.]), {'y': 3})
    """
    return tree_map_only(Tensor, lambda one: one.cpu(), batch)
