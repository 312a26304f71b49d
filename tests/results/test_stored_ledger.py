"""The ledger of a run is that of one call, whatever its shards, its targets and its numbers of references."""

import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import nn

import seqlight as sl
from seqlight.lit import DeepLiftShapModule

X = sl.random_one_hot((5, 4, 20), random_state=0)


class Residual(nn.Module):
    """A trunk with a branch, and a head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Conv1d(4, 3, 3, padding=1)
        self.branch = nn.Sequential(nn.Conv1d(3, 3, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(3 * 20, 3)

    def forward(self, x):
        h = self.trunk(x)
        return self.head((h + self.branch(h)).flatten(1)).tanh()


@pytest.mark.parametrize(
    "settings",
    [
        {"layers": True, "n_shuffles": 4},
        {"layers": True, "n_shuffles": "auto", "tolerance": 0.3, "max_shuffles": 30, "target": [0, 2]},
        {"layers": ["branch", "trunk"], "n_shuffles": 4},
        {"layers": True, "n_shuffles": 1},
    ],
    ids=["all", "auto and several targets", "named", "one reference"],
)
def test_the_ledger_of_a_run_is_that_of_one_call(tmp_path, settings):
    model = Residual().double()
    job = DeepLiftShapModule(model, **settings)
    found = sl.run(job, X, tmp_path, accelerator="cpu", devices=1, shard_rows=2, batch_size=2, progress=False)
    expected = sl.attribute(model, X, random_state=0, device="cpu", **settings).ledger
    assert_frame_equal(found.ledger, expected, rtol=1e-9, atol=1e-9)
    assert (expected["standard_error"] > 1e-3).any() or settings["n_shuffles"] == 1


def test_a_run_without_layers_has_none(tmp_path):
    found = sl.run(DeepLiftShapModule(Residual(), n_shuffles=2), X, tmp_path, accelerator="cpu", progress=False)
    with pytest.raises(sl.InputError, match="has no ledger: expected a run of `seqlight attribute --layers all`"):
        _ = found.ledger


def test_the_rows_of_a_ledger_are_printed_as_one_line(tmp_path):
    job = DeepLiftShapModule(Residual(), n_shuffles=2, layers=True)
    found = sl.run(job, X, tmp_path, accelerator="cpu", devices=1, progress=False)
    assert "\n  total_trunk, and 6 more of the ledger: (5,) float32\n  ledger_moments: (5, 7, 3) float64" in repr(found)
    assert found._repr_html_().count("total_") == 1
    assert len(found.names) == 12
