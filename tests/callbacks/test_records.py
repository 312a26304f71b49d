from __future__ import annotations

import pytest
import torch

from seqlight_callbacks.records import AttributionRecord, load_record, save_record


def record():
    return AttributionRecord(7, torch.randn(3, 4, 9), torch.randn(3), torch.randn(3, 5))


def test_round_trip(tmp_path):
    one = record()
    save_record(one, tmp_path / "new" / "epoch.npz")
    other = load_record(tmp_path / "new" / "epoch.npz")
    assert other.epoch == 7
    for name in ("attributions", "outputs", "reference_outputs"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path, first = tmp_path / "epoch.npz", record()
    save_record(first, path)

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(OSError, match="no space"):
        save_record(record(), path)
    assert torch.equal(load_record(path).attributions, first.attributions)
    assert [one.name for one in tmp_path.iterdir()] == ["epoch.npz"]


def test_a_record_is_printed_as_shapes():
    assert str(record()).splitlines() == [
        "AttributionRecord of fit, epoch 7",
        "  attributions: (3, 4, 9) float32",
        "  outputs: (3,) float32",
        "  reference_outputs: (3, 5) float32",
    ]
