"""The ledger: shares of the output difference, their standard errors, and what is complete."""

import math

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.attribution.layer_ledger import ledger_table
from seqlight.errors import InputError


class Residual(nn.Module):
    """A trunk with a branch, and a head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Conv1d(4, 3, 3, padding=1)
        self.branch = nn.Sequential(nn.Conv1d(3, 3, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(3 * 20, 2)

    def forward(self, x):
        h = self.trunk(x)
        return self.head((h + self.branch(h)).flatten(1)).tanh()


@pytest.fixture
def found():
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    settings = {"layers": True, "target": [0, 1], "random_state": 0, "n_shuffles": 6, "device": "cpu"}
    return sl.attribute(Residual().double(), X, **settings)


def test_shares_and_what_is_complete(found):
    table = found.of_target(0).ledger
    parts = table[table["part"] != ""].set_index("part")
    table = table[table["part"] == ""].set_index("layer")
    assert table.index.tolist() == ["trunk", "branch.0", "branch.1", "branch", "head"]
    assert table["complete"].tolist() == [True, False, False, False, True]
    assert parts.index.tolist() == ["branch 0 (trunk)", "branch 1 (branch)"]
    assert parts["share"]["branch 1 (branch)"] == pytest.approx(table["share"]["branch"])
    assert parts["share"].sum() == pytest.approx(1)
    assert not parts["complete"].any()
    assert table["share"][["trunk", "head"]].tolist() == pytest.approx([1, 1])
    assert table["standard_error"][["trunk", "head"]].tolist() == pytest.approx([0, 0], abs=1e-12)
    assert table["share"]["branch"] == table["share"]["branch.1"] == pytest.approx(table["share"]["branch.0"])
    assert table["standard_error"]["branch"] > 0


def test_several_targets_have_their_own_rows(found):
    table = found.ledger
    assert table["target"].tolist() == [0] * 7 + [1] * 7
    own = table[table["target"] == 1].drop(columns="target").reset_index(drop=True)
    assert own.equals(found.of_target(1).ledger)


def test_the_standard_error_is_that_of_repeated_draws():
    generator = torch.Generator().manual_seed(0)
    d = 3 + torch.randn(4000, 2, 25, generator=generator, dtype=torch.float64)
    t = 0.4 * d + 0.5 * torch.randn(d.shape, generator=generator, dtype=torch.float64)
    tables = [ledger_table(a.unsqueeze(-1), b, ["branch"]) for a, b in zip(t[:400], d[:400], strict=True)]
    spread = torch.tensor([float(one["share"][0]) for one in tables]).std()
    told = torch.tensor([float(one["standard_error"][0]) for one in tables]).mean()
    assert 0.9 < spread / told < 1.1


def test_fewer_references_of_some_sequences():
    totals = torch.tensor([[[2.0], [4.0]], [[1.0], [math.nan]]])
    differences = torch.tensor([[4.0, 8.0], [2.0, math.nan]])
    table = ledger_table(totals, differences, ["branch"])
    assert table["share"][0] == pytest.approx(0.5)
    assert not table["complete"][0]


def test_sequences_of_either_sign_do_not_cancel():
    table = ledger_table(torch.tensor([[[1.0]], [[-1.0]]]), torch.tensor([[2.0], [-2.0]]), ["branch"])
    assert table["share"][0] == pytest.approx(0.5)


def test_without_layers_there_is_none():
    X = sl.random_one_hot((1, 4, 20), random_state=0)
    with pytest.raises(InputError, match="pass layers=True"):
        _ = sl.attribute(Residual(), X, n_shuffles=2, random_state=0, device="cpu").ledger
