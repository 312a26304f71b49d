"""Learning rate schedules that adapt to the length of the training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from seqlight.errors import InputError


class Schedule(ABC):
    """Makes a scheduler from an optimizer and the number of steps of the whole training.

    A function of these two can be used as well; a class can also be named in a YAML file.
    """

    @abstractmethod
    def __call__(self, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
        """Return a scheduler that steps after each of `steps` batches."""


class OneCycle(Schedule):
    """Rises to a largest learning rate, and falls to almost nothing (Smith and Topin, 2018).

    Parameters
    ----------
    max_lr : float
        The largest learning rate.
    warmup : float
        The share of the steps in which it rises.

    Examples
    --------
    >>> import torch
    >>> from seqlight.lit.schedules import OneCycle
    >>> optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1.0)
    >>> scheduler = OneCycle(0.5, warmup=0.25)(optimizer, steps=100)
    >>> round(scheduler.get_last_lr()[0], 3)
    0.02
    """

    def __init__(self, max_lr: float, warmup: float = 0.3) -> None:
        self.max_lr, self.warmup = max_lr, _share(warmup)

    def __call__(self, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
        """Return PyTorch's OneCycleLR."""
        return OneCycleLR(optimizer, max_lr=self.max_lr, total_steps=steps, pct_start=self.warmup)


class Cosine(Schedule):
    """Rises linearly to the learning rate of the optimizer, and falls along half a cosine.

    Parameters
    ----------
    warmup : float
        The share of the steps in which it rises.
    least : float
        The learning rate at the end, as a share of that of the optimizer.

    Examples
    --------
    >>> import torch
    >>> from seqlight.lit.schedules import Cosine
    >>> optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1.0)
    >>> Cosine(warmup=0.1)(optimizer, steps=100).get_last_lr()
    [0.1]
    """

    def __init__(self, warmup: float = 0.05, least: float = 0.0) -> None:
        self.warmup, self.least = _share(warmup), least

    def __call__(self, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
        """Return PyTorch's LambdaLR with this shape."""
        up = round(self.warmup * steps)

        def share(step: int) -> float:
            if step < up:
                return (step + 1) / up
            done = min(1.0, (step - up) / max(1, steps - up))
            return self.least + (1 - self.least) * (1 + math.cos(math.pi * done)) / 2

        return LambdaLR(optimizer, share)


class Stock(Schedule):
    """Any scheduler of PyTorch that does not depend on the length of the training, stepped after each batch.

    Parameters
    ----------
    scheduler : callable
        Makes the scheduler from the optimizer.

    Examples
    --------
    >>> from functools import partial
    >>> import torch
    >>> from seqlight.lit.schedules import Stock
    >>> optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1.0)
    >>> type(Stock(partial(torch.optim.lr_scheduler.StepLR, step_size=10))(optimizer, steps=100)).__name__
    'StepLR'
    """

    def __init__(self, scheduler: Callable[[torch.optim.Optimizer], LRScheduler]) -> None:
        self.scheduler = scheduler

    def __call__(self, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
        """Return the scheduler."""
        return self.scheduler(optimizer)


def _share(warmup: float) -> float:
    if not 0 <= warmup < 1:
        raise InputError(f"warmup is {warmup}: expected a share of the steps, at least 0 and below 1.")
    return warmup
