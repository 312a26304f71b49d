"""A quiet Trainer on the CPU."""

from __future__ import annotations

import lightning.pytorch as L
import pytest

QUIET = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.fixture
def trainer():
    """Return a function that makes a quiet Trainer with further arguments."""
    return lambda **settings: L.Trainer(**QUIET | settings)
