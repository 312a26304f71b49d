from __future__ import annotations

import pytest

import seqlight as sl
from seqlight_callbacks.demo.task import ecoli_task
from seqlight_callbacks.demo.training import train


def test_no_epochs_are_refused(tmp_path):
    """What a training leaves is in test_run, which trains."""
    with pytest.raises(sl.InputError, match="epochs is 0"):
        train(ecoli_task(0), tmp_path, 0, 0)
