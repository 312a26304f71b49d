"""A hook for all modules that one thread calls, for as long as it is wanted."""

import threading

import pytest
import torch
from torch import nn

from seqlight.attribution.engine.module_hooks import watch_modules

MODULE = nn.Linear(3, 2)
X = torch.zeros(1, 3)


def test_a_module_is_seen_before_and_after():
    seen = []
    with watch_modules(lambda *given: seen.append(given), before=True):
        MODULE(X)
    with watch_modules(lambda *given: seen.append(given)):
        y = MODULE(X)
    (first, (given,)), (second, _, returned) = seen
    assert first is second is MODULE
    assert given is X
    assert returned is y


def test_modules_of_another_thread_are_not_seen():
    seen = []
    with watch_modules(lambda *given: seen.append(given)):
        other = threading.Thread(target=MODULE, args=[X])
        other.start()
        other.join()
    assert not seen


def test_nothing_is_seen_after_an_error():
    seen = []
    with pytest.raises(ValueError, match="stop"), watch_modules(lambda *given: seen.append(given)):
        raise ValueError("stop")
    MODULE(X)
    assert not seen
