"""Memory that is lent, and used again."""

import pytest
import torch
from torch import nn

from seqlight import attribute, deep_lift_shap, random_one_hot
from seqlight.attribution.calls import arena


def test_what_comes_back_is_lent_again():
    like, ours = torch.zeros(3, 4), arena.Arena(once=True)
    with arena.lent(ours):
        a, b = arena.empty_like(like), arena.empty_like(like)
        assert a.data_ptr() != b.data_ptr()
        assert a.shape == like.shape
    with arena.lent(ours):
        again = {arena.empty_like(like).data_ptr(), arena.empty_like(like).data_ptr()}
        assert again == {a.data_ptr(), b.data_ptr()}
        assert arena.empty_like(like).data_ptr() not in again
        assert arena.empty_like(like.double()).dtype == torch.float64
        assert arena.empty_like(like[:1]).shape == (1, 4)
    assert arena.empty_like(like).data_ptr() not in again


@pytest.mark.parametrize("once", [True, False])
def test_products_are_written_over_what_is_used_once(once):
    m, g = torch.full((3,), 2.0), torch.arange(3.0)
    with arena.lent(arena.Arena(once)):
        found = arena.spent(m, g)
    assert found.tolist() == [0, 2, 4]
    assert (found.data_ptr() == m.data_ptr()) is once
    assert arena.spent(torch.ones(3), g).tolist() == [0, 1, 2]


class Layers(nn.Module):
    """The first operation on the input is explained, so that its gradient is in memory that is lent."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Tanh(), nn.Conv1d(4, 5, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten())
        self.head = nn.Linear(45, 2)

    def forward(self, x):
        return self.head(self.layers(torch.relu(x - 0.5)))


def test_results_are_not_overwritten_by_later_batches():
    X, model = random_one_hot((3, 4, 20), random_state=0), Layers().double()
    settings = {"random_state": 0, "n_shuffles": 6, "device": "cpu", "raw_outputs": True}
    alone = deep_lift_shap(model, X, batch_size=100, **settings)
    torch.testing.assert_close(deep_lift_shap(model, X, batch_size=2, **settings), alone, rtol=0, atol=1e-12)
    both = deep_lift_shap(model, X, batch_size=2, target=[0, 0], **settings)
    torch.testing.assert_close(both[:, 0], alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(both[:, 1], alone, rtol=0, atol=1e-12)


def test_gradients_that_a_hook_of_the_user_keeps_stay_as_they_were():
    X, model, seen = random_one_hot((1, 4, 20), random_state=0), Layers().double(), []
    model.layers[3].register_full_backward_hook(lambda module, grad_in, grad_out: seen.append(grad_in[0]))
    attribute(model, X, batch_size=2, n_shuffles=4, random_state=0, device="cpu")
    kept, values = list(seen), [one.clone() for one in seen]
    seen.clear()
    attribute(model, X, batch_size=2, n_shuffles=4, random_state=0, device="cpu")
    assert len(kept) == len(seen) == 2
    for one, value, again in zip(kept, values, seen, strict=True):
        assert torch.equal(one, value)
        assert torch.equal(one, again)
    assert not torch.equal(kept[0], kept[1])
