"""The script that times models of long ranges measures each of its parts, here at a size that takes no time."""

import long_range
import pytest
import torch


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
def test_each_part_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(long_range, "SIZES", ((4, 6),))
    monkeypatch.setattr(long_range, "SCANS", (4,))
    monkeypatch.setattr(long_range, "ROWS", (6,))
    monkeypatch.setattr(long_range, "DTYPES", (torch.float32,))
    found = long_range.measure_all(0)
    assert {name: len(rows) for name, rows in found.items()} == {"recurrent": 4, "scans": 1, "attention": 3}
    assert all(one["ours_over_floor"] > 0 for rows in found.values() for one in rows)


def test_weights_sum_to_one():
    z = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
    for weights in (long_range.softmax, long_range.sparsemax, long_range.entmax):
        torch.testing.assert_close(weights(z).sum(-1), torch.ones(3))
