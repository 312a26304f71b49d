"""A seed for libraries that draw from the global random generators and take none themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from seqlight.prediction.borrowed_model.random_generators import preserve_generators


@contextmanager
def seed_generators(random_state: int) -> Iterator[None]:
    """Seed the global generators of NumPy and PyTorch, and restore them at the end.

    Examples
    --------
    >>> with seed_generators(0):
    ...     first = torch.rand(2)
    >>> with seed_generators(0):
    ...     torch.equal(torch.rand(2), first)
    True
    """
    with preserve_generators(torch.device("cpu")):
        np.random.seed(random_state % 2**32)
        torch.manual_seed(random_state)
        yield
