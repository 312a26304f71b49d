"""The operation that mixes rows or draws numbers is found, however a model arranges its rows."""

import numpy as np
import pytest
import torch
from torch import nn

from seqlight.prediction.row_independence.culprit import Culprit, find_culprit

X = torch.rand(2, 4, 10, generator=torch.Generator().manual_seed(0))


class Model(nn.Module):
    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.function = nn.Conv1d(4, 6, 3), function

    def forward(self, X):
        return self.function(self.conv(X)).tanh()


def found(function):
    model = Model(function)
    with torch.no_grad():
        return find_culprit(model, lambda rows: model(X[list(rows)]))


def statistics(h):
    # Rows are merged with channels, then last, then normalised over rows: only the norm mixes them.
    h = h.permute(1, 0, 2).flatten(0, 1).relu()
    h = h.unflatten(0, (6, -1)).permute(2, 1, 0)
    return h / h.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda h: h.softmax(0), "softmax"),
        (lambda h: h.transpose(0, 1).relu().softmax(1), "softmax"),
        (statistics, "norm"),
        (lambda h: (h.flatten(1) @ h.flatten(1).T).softmax(1).diagonal(), "softmax"),
        (lambda h: h.flip(0).cumsum(0), "flip"),
        (lambda h: torch.einsum("bcl,kcl->bl", h, h), "einsum"),
        (lambda h: nn.functional.batch_norm(h.mean(2), None, None, training=True), "batch_norm"),
        (lambda h: nn.functional.dropout(h.relu()), "dropout"),
        (lambda h: h.relu() * torch.empty_like(h).uniform_(), "uniform"),
        (lambda h: h.relu() * np.random.rand(), "mul"),
        (lambda h: h.clone().index_add_(0, torch.zeros(len(h), dtype=torch.int64), h), "index_add"),
    ],
)
def test_the_first_culprit_is_found(function, operation):
    assert found(function) == Culprit(operation, " in the model itself (Model)")


@pytest.mark.parametrize(
    "function",
    [
        lambda h: h.transpose(0, 1).flatten(0, 1).relu(),
        lambda h: torch.cat([h, h.flip(2)]).relu().chunk(2)[1],
        lambda h: h.permute(2, 0, 1).softmax(2),
        lambda h: h.masked_fill(torch.zeros(len(h), 1, 1, dtype=torch.bool), float("nan")),
        lambda h: torch.stack([one.relu() for one in h]),
    ],
)
def test_independent_rows_have_no_culprit(function):
    assert found(function) is None
