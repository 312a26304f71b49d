"""The script that times recurrent networks measures each of them, here at a size that takes no time."""

import recurrent
import torch

from seqlight.attribution.rules.table import rules


def test_each_network_is_measured(monkeypatch):
    for name, value in {"SIZES": (2,), "LENGTHS": (3,), "SEQUENCES": 1, "REFERENCES": 2, "CHANNELS": 2}.items():
        monkeypatch.setattr(recurrent, name, value)
    found = recurrent.measure_all(1)
    assert [one["layer"] for one in found] == ["LSTM", "GRU", "RNN"]
    for one in found:
        assert one["float32"].keys() == {"seconds", "ours_over_floor", "before_over_floor"}
        assert one["float64"].keys() == {"seconds", "ours_over_floor"}
        assert one["float64"]["ours_over_floor"] > 0
        assert one["float64_over_float32"] > 0


def test_what_was_before_is_integrated_and_does_not_stay():
    entry = rules()[torch.lstm]
    with recurrent.integrated():
        assert rules()[torch.lstm] != entry
    assert rules()[torch.lstm] == entry
