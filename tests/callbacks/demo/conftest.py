from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_seed_left_behind(monkeypatch):
    """Undo what seed_everything writes into the environment."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")
