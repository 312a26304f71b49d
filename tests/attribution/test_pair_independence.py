"""A model whose outputs depend on one row each, but not its multipliers, is refused; one that only looks so is not."""

import pytest
import torch
from torch import nn

import seqlight as sl

X = sl.random_one_hot((3, 4, 12), random_state=0).float()


class Attending(nn.Module):
    """Positions weighted by a softmax that is written out, behind a shift that cancels."""

    def __init__(self, shift):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head, self.shift = nn.Conv1d(4, 3, 3), nn.Linear(30, 1), shift

    def forward(self, X):
        h = self.stem(X)
        weights = torch.exp(2 * (h - self.shift(h)))
        return self.head((weights / weights.sum(dim=2, keepdim=True)).flatten(1))


def explain(shift, **settings):
    return sl.deep_lift_shap(Attending(shift), X, **{"n_shuffles": 3, "random_state": 0, "device": "cpu", **settings})


@pytest.mark.reliability(
    "models",
    "a softmax written with `h - h.max()` over the whole batch, which outputs do not show",
    "refused, or the same whatever the batch; attributions depended on batch_size in silence, by 0.5 %",
)
@pytest.mark.parametrize("shift", [torch.max, lambda h: h.amax((0, 2), keepdim=True), lambda h: h.norm()])
@pytest.mark.parametrize("n", [1, 3])
def test_a_reduction_over_rows_that_cancels_in_outputs_is_refused(shift, n):
    with pytest.raises(sl.UnsupportedOperation, match=r"seems to mix the rows of a batch.* or pass batch_size=1"):
        explain(shift, n_shuffles=n)
    with pytest.raises(sl.UnsupportedOperation, match="seems to mix the rows"):
        sl.attribute(Attending(shift), X[:1], n_shuffles=2, random_state=0, device="cpu", dtype="float64")
    assert explain(shift, n_shuffles=n, batch_size=1).isfinite().all()


@pytest.mark.parametrize(
    "shift",
    [
        lambda h: h.amax((1, 2), keepdim=True),
        lambda h: torch.stack([row.max() for row in h]).view(-1, 1, 1),
        lambda h: h.new_zeros(()) if h.max() > 1e9 else 0,
    ],
)
def test_a_reduction_within_rows_is_explained(shift):
    torch.testing.assert_close(explain(shift), explain(shift, batch_size=1), rtol=1e-4, atol=1e-6)
