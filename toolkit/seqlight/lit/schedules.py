"""Learning rates that follow the length of the whole training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from seqlight.errors import InputError


class Schedule(ABC):
    """Makes a scheduler from an optimizer and the number of steps of the whole training.

    A function of the two does as well; a class can be named in a YAML file.
    """

    @abstractmethod
    def __call__(self, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
        """Return a scheduler that is stepped after each of `steps` batches."""


class OneCycle(Schedule):
    """Up to the largest learning rate, and down to nothing (Smith and Topin, 2018).

    Parameters
    ----------
    max_lr : float
        The largest.
    warmup : float
        Share of the steps that go up.

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
        """Return PyTorch's scheduler."""
        return OneCycleLR(optimizer, max_lr=self.max_lr, total_steps=steps, pct_start=self.warmup)


class Cosine(Schedule):
    """Up to the optimizer's own learning rate in a line, and down along half a cosine.

    Parameters
    ----------
    warmup : float
        Share of the steps that go up.
    least : float
        What remains at the end, as a share of the learning rate.

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
        """Return PyTorch's scheduler of any function."""
        up = round(self.warmup * steps)

        def share(step: int) -> float:
            if step < up:
                return (step + 1) / up
            done = min(1.0, (step - up) / max(1, steps - up))
            return self.least + (1 - self.least) * (1 + math.cos(math.pi * done)) / 2

        return LambdaLR(optimizer, share)


class Stock(Schedule):
    """Any scheduler of PyTorch that need not know how long the training is, stepped after each batch.

    Parameters
    ----------
    scheduler : callable
        Makes it from the optimizer.

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
        """Return it."""
        return self.scheduler(optimizer)


def _share(warmup: float) -> float:
    if not 0 <= warmup < 1:
        raise InputError(f"warmup is {warmup}: expected a share of the steps, at least 0 and below 1.")
    return warmup
