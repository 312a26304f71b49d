"""What a later block shows of a model decides how it and all others are explained, also while a device is ahead."""

import pytest
import torch
from torch import nn

import seqlight as sl

X = sl.random_one_hot((8, 4, 20), random_state=0).float()
# The first character of a sequence is also that of its references, so both take the same course through a model.
X[:, :, 0] = torch.eye(4)[[0, 0, 0, 1, 1, 1, 0, 0]]


def references(X, n, random_state=0):
    found = sl.dinucleotide_shuffle(X, n=n, random_state=random_state)
    found[:, :, :, 0] = X[:, None, :, 0]
    return found


class Late(nn.Module):
    """Joins both strands into one batch where the first sequence begins with C: some references have wrong partners.

    Parameters
    ----------
    loops : bool
        Goes over the rows one by one there instead, which is refused unless each reference has a sequence of its own.
    """

    def __init__(self, loops=False):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.loops = nn.Conv1d(4, 6, 5), nn.Linear(96, 2), loops

    def forward(self, x):
        if x[0, 1, 0] < 0.5:
            return self.last(self.first(x).relu().flatten(1))
        if self.loops:
            return torch.stack([self.last(self.first(one).relu().flatten()) for one in x])
        both = self.last(self.first(torch.cat([x, x.flip(1, 2)])).relu().flatten(1))
        return both[: len(x)] + both[len(x) :]


@pytest.mark.reliability(
    "accelerators",
    "a model of which only a later sequence shows that references had wrong partners, while a device is a block ahead",
    "that block and the ones after it are explained again, to the results of the CPU, with any batch size",
)
@pytest.mark.parametrize("loops", [False, True])
@pytest.mark.parametrize("batch_size", [4, 40])
def test_a_device_gives_what_the_cpu_gives(pretend, loops, batch_size):
    settings = {"references": references, "n_shuffles": 4, "batch_size": batch_size, "random_state": 0}
    if batch_size == 40:  # in one block all take the course of the first sequence
        X1 = X[3:4].repeat(3, 1, 1)
        X1[:, :, 1:] = X[:3, :, 1:]
    else:
        X1 = X
    exact = sl.attribute(Late(loops).double(), X1, device="cpu", **settings | {"batch_size": 1, "deltas": "raise"})
    wanted = sl.attribute(Late(loops), X1, device="cpu", **settings)
    with pretend.switched(late_copies=True):
        found = sl.attribute(Late(loops), X1, device="pretend", **settings)
    for name in ("attributions", "hypothetical", "outputs", "reference_outputs", "standard_error"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(getattr(found, name).double(), getattr(exact, name), rtol=1e-3, atol=1e-5)
    assert torch.equal(found.references, wanted.references)
    assert float(found.deltas.abs().max()) < 1e-5


@pytest.mark.reliability(
    "models",
    "a layer behind permutations, after which a single sequence lies in memory in another order than its references",
    "the attributions of any batch size",
)
@pytest.mark.parametrize("layer", [torch.tanh, torch.abs, nn.Softmax(1), nn.MaxPool1d(2, 1), torch.square])
@pytest.mark.filterwarnings("ignore::seqlight.errors.IntegratedWarning")
def test_a_sequence_in_another_order_of_memory(layer):
    class Permuted(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv1d(4, 3, 3)

        def forward(self, X):
            h = self.conv(X)
            # A view for a single sequence, and else a copy.
            rows = layer(h.permute(2, 0, 1).reshape(-1, 3))
            return rows.reshape(h.shape[2], len(X), -1).square().sum((0, 2)).unsqueeze(1)

    X = sl.random_one_hot((3, 4, 9), random_state=0)
    found = [
        sl.deep_lift_shap(
            Permuted(), X, references=sl.shuffle, n_shuffles=3, random_state=0, batch_size=size, device="cpu"
        )
        for size in (1, 3, 9)
    ]
    for one in found[1:]:
        torch.testing.assert_close(one, found[0])
