"""A quiet Trainer on one processor, and the folder of a job that can be started as a script."""

from __future__ import annotations

import lightning.pytorch as L
import pytest
import torch

QUIET = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.fixture(autouse=True)
def _one_thread():
    """Wait for no other thread: where cores are shared that takes longer than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def trainer():
    """Make a Trainer with some settings."""
    return lambda **settings: L.Trainer(**QUIET | settings)
