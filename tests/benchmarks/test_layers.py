"""The benchmark of layers runs, and its ratios are of what it says."""

import json

import harness
import layers
import pytest
import torch
from networks import bpnet_like


def test_what_is_written(monkeypatch, tmp_path):
    pytest.importorskip("captum")
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setattr(layers, "MODELS", {"tiny": (lambda: bpnet_like(4), 30, "5", (1, 2))})
    monkeypatch.setattr("sys.argv", ["layers.py", "1"])
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    layers.main()
    found = json.loads((tmp_path / "layers.json").read_text())
    assert [one["sequences"] for one in found["models"]] == [1, 2]
    for one in found["models"]:
        assert set(one["seconds"]) == {"plain", "ledger", "layer", "captum"}
        assert one["ledger_over_plain"] == one["seconds"]["ledger"] / one["seconds"]["plain"]
