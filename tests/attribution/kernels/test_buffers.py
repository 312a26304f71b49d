"""Memory for multipliers is lent, taken back and lent again."""

import torch
from torch import nn

from seqlight import attribute, deep_lift_shap, random_one_hot
from seqlight.attribution.kernels import buffers


def test_returned_memory_is_reused():
    like, ours = torch.zeros(3, 4), buffers.Arena()
    with buffers.lend_from(ours):
        a, b = buffers.empty_like(like), buffers.empty_like(like)
        assert a.data_ptr() != b.data_ptr()
        assert a.shape == like.shape
    with buffers.lend_from(ours):
        again = {buffers.empty_like(like).data_ptr(), buffers.empty_like(like).data_ptr()}
        assert again == {a.data_ptr(), b.data_ptr()}
        assert buffers.empty_like(like).data_ptr() not in again
        assert buffers.empty_like(like.double()).dtype == torch.float64
        assert buffers.empty_like(like[:1]).shape == (1, 4)
    assert buffers.empty_like(like).data_ptr() not in again


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


def test_gradients_kept_by_a_users_hook_are_not_overwritten():
    X, model, seen = random_one_hot((1, 4, 20), random_state=0), Layers().double(), []

    def keep(grad):
        seen.append((grad, grad.clone()))

    def hook(module, inputs, output):
        if output.requires_grad:
            output.register_hook(keep)

    for layer in model.layers:
        layer.register_forward_hook(hook)
    model.layers[3].register_full_backward_hook(lambda module, grad_in, grad_out: keep(grad_in[0]))
    attribute(model, X, batch_size=2, n_shuffles=8, random_state=0, device="cpu")
    assert len(seen) >= 4 * 5
    for grad, copy in seen:
        assert torch.equal(grad, copy)
