"""The benchmark of training steps runs, and its ratios are of what it says."""

import json

import harness
import speed_training_step
import torch
from harness import read_results
from networks import bpnet_like, mixed
from pages import DOCS, fill_section


def test_what_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    tiny = {"without batch norm": (lambda: bpnet_like(4), 2, 30), "with": (lambda: mixed(60), 2, 60)}
    monkeypatch.setattr(speed_training_step, "NETWORKS", tiny)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    speed_training_step.main(1)
    found = json.loads((tmp_path / "speed_training_step.json").read_text())["networks"]
    assert found.keys() == tiny.keys()
    for one in found.values():
        assert set(one["over_plain"]) == {"prior", "apart", "saliency"}
        seconds = one["seconds"]
        assert one["over_plain"]["prior"]["least"] == seconds["prior"]["least"] / seconds["plain"]["least"]


def test_the_page_has_the_stored_numbers():
    page, results = (DOCS / "attribution_priors.md").read_text(), read_results("speed_training_step")
    assert fill_section(page, speed_training_step.table(results)) == page
    for name, one in results["networks"].items():
        assert one["over_plain"]["prior"]["least"] < (5 if name in ("transformer", "small LSTM") else 4)
