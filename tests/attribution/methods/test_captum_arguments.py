"""Arguments in Captum's style are converted."""

import pytest
import torch

from seqlight.attribution.methods.captum_arguments import (
    baselines_per_row,
    call_with_accepted_arguments,
    one_baseline_per_row,
    sum_attributions,
)
from seqlight.errors import InputError

X, PAIR = torch.arange(12.0).reshape(2, 2, 3), (torch.ones(2), torch.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("inputs", "given", "wanted"),
    [
        ((X,), [torch.ones(2, 2, 3)], torch.ones(2, 2, 3)),
        ((X,), [torch.ones(2, 3), torch.zeros(2, 3)], torch.stack([torch.ones(2, 3), torch.zeros(2, 3)])),
        ((X,), X[:1].tolist(), X[:1].expand(2, 2, 3)),
        ((X,), [0.5], torch.full((2, 2, 3), 0.5)),
        ((PAIR[0],), [0.5], torch.full((2,), 0.5)),
        ((PAIR[0],), [0.5, 2], torch.tensor([0.5, 2.0])),
        ((PAIR[1],), [[0.5, 1, 2]], torch.tensor([[0.5, 1, 2]], dtype=torch.float64).expand(2, 3)),
    ],
)
@pytest.mark.reliability("Captum", "a baseline that is a list", "taken as the tensor it is")
def test_a_list_of_one_baseline_each(inputs, given, wanted):
    (found,) = one_baseline_per_row(inputs, given)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_a_list_has_an_entry_for_each_of_several_inputs():
    found = one_baseline_per_row(PAIR, [1, [[0.5, 0.5, 0.5]]])
    assert [one.tolist() for one in found] == [[1.0, 1.0], [[0.5] * 3] * 2]


@pytest.mark.parametrize("given", [[X], [*X], X.tolist(), [X.tolist()], [X[:, None].expand(2, 2, 2, 3)]])
def test_lists_of_many_baselines(given):
    (found,) = baselines_per_row((X + 1,), given)
    assert found.shape == (2, 2, 2, 3)
    if given[0] is X or len(given) == 2:
        assert torch.equal(found[1], X)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [[[0.0, 1.0], [0.0]]],
            "baselines hold a list that cannot become a tensor: expected lists of numbers",
        ),
        ([None, None], "baselines hold a list that cannot become a tensor"),
        ([[0.0, None, 1.0]], "baselines hold a list that cannot become a tensor"),
        (["zero"], "baselines hold a list that cannot become a tensor"),
        ([torch.zeros(2), torch.zeros(3)], "baselines hold a list that cannot become a tensor"),
        ([], "baselines hold a list that cannot become a tensor"),
    ],
)
def test_lists_that_cannot_become_tensors_raise(given, message):
    with pytest.raises(InputError, match=message):
        one_baseline_per_row((X,), given)


def test_functions_without_a_signature_get_all_arguments():
    assert torch.equal(call_with_accepted_arguments(torch.zeros_like, X), torch.zeros_like(X))


@pytest.mark.parametrize("given", [X[:1], (X, X), None, torch.tensor(1.0), [X.numpy()]])
def test_attributions_must_match_the_inputs(given):
    with pytest.raises(InputError, match="expected a tensor with 2 rows for each of 1 inputs"):
        sum_attributions(given, (X,))
