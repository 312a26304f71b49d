"""Attributions where memory runs out, forward or backward: the same numbers in smaller batches."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import MemoryWarning, OutOfMemory
from small_memory import RowHog
from small_memory import _small_memory as _small_memory

X = sl.random_one_hot((9, 4, 12), random_state=0)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 3, 3), nn.ReLU(), nn.MaxPool1d(2), nn.GELU(), nn.Flatten(), nn.Linear(15, 2))


def tensors(found):
    """Return what is to be the same of a result: all its tensors."""
    if isinstance(found, torch.Tensor):
        return [found]
    return [one for one in (*vars(found).values(),) if isinstance(one, torch.Tensor)]


METHODS = {
    "saturation_mutagenesis": lambda model, **how: sl.saturation_mutagenesis(model, X, target=1, **how),
    "its raw outputs": lambda model, **how: sl.saturation_mutagenesis(model, X, raw_outputs=True, **how).y_hat,
    "input_x_gradient": lambda model, **how: sl.input_x_gradient(model, X, target=[0, 1], **how),
}
WITH_GRADIENTS = ("input_x_gradient",)
CASES = [*((name, "forward") for name in METHODS), *((name, "backward") for name in WITH_GRADIENTS)]


@pytest.mark.reliability(
    "accelerators",
    "attributions for which memory runs out in the middle of a call, forward or backward",
    "the same numbers in smaller batches, and one warning that names the size that worked",
)
@pytest.mark.parametrize(("method", "where"), CASES)
def test_attributions_are_the_same_where_memory_runs_out(method, where, small_memory):
    explain, model = METHODS[method], network().double()
    expected = explain(model, device="cpu")
    state = torch.get_rng_state()
    hog = RowHog(model, small_memory(3), where == "backward")
    with pytest.warns(MemoryWarning, match="needs more memory than [a-z:0-9]+ has: [23] at a time") as caught:
        found = explain(hog, device="cpu", batch_size=30)
    assert [one.filename for one in caught] == [__file__]
    for one, other in zip(tensors(found), tensors(expected), strict=True):
        torch.testing.assert_close(one, other)
    assert hog.training
    assert all(one.requires_grad and one.grad is None for one in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("method", METHODS)
def test_the_size_is_learned(method, small_memory):
    explain, model = METHODS[method], network().double()
    expected = explain(model, device="cpu")
    hog = RowHog(model, small_memory(220))
    found = explain(hog, device="cpu")
    for one, other in zip(tensors(found), tensors(expected), strict=True):
        torch.testing.assert_close(one, other)
    assert max(hog.sizes) == (9 if method == "input_x_gradient" else 128)


@pytest.mark.parametrize("method", METHODS)
def test_a_single_row_that_does_not_fit(method, small_memory):
    with pytest.raises(OutOfMemory, match="no room for a single row"):
        METHODS[method](RowHog(network(), small_memory(0)), device="cpu")
