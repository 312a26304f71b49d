"""The benchmark of mutagenesis runs, and its ratios are of what it says."""

import json

import harness
import pytest
import torch
from networks import bpnet_like


def test_what_is_written(monkeypatch, tmp_path):
    pytest.importorskip("tangermeme")
    import speed_mutagenesis

    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    names = "seqlight in_full tangermeme_fast_false by_hand", "pairs pairs_in_full"
    jobs = {name: (lambda: bpnet_like(4), (1, 30), 3, 6, 1, name) for name in names}
    monkeypatch.setattr(speed_mutagenesis, "JOBS", jobs)
    monkeypatch.setattr(speed_mutagenesis, "FURTHER", names[:1])
    monkeypatch.setattr(speed_mutagenesis, "MANY", 2)
    # Its fast way first captures the model, which takes a second.
    monkeypatch.setattr(speed_mutagenesis, "tangermeme_fast", speed_mutagenesis.in_full)
    speed_mutagenesis.main(1)
    written = json.loads((tmp_path / "speed_mutagenesis.json").read_text())
    (further,) = written["further_sequences"].values()
    each = further["seqlight_s_for_each_further_sequence"]
    assert each["least"] == further["seqlight_2_s"]["least"] - further["seqlight_1_s"]["least"]
    by = further["tangermeme_fast_s_for_each_further_sequence"]
    assert further["times_faster_than_tangermeme_fast"]["least"] == by["least"] / each["least"]
    found = written["jobs"]
    assert set(found) == set(names)
    for name, one in found.items():
        ours, *others = name.split()
        assert one["largest_difference_over_largest_value"] < 1e-4
        for other in others:
            assert one[f"times_faster_than_{other}"]["least"] == one[f"{other}_s"]["least"] / one[f"{ours}_s"]["least"]
