"""References are aligned with their sequences in whichever dimension the model keeps the batch."""

import itertools

import pytest
import torch

from seqlight.attribution.calls.partners import align_partners, batch_dimension, interpolate, repeat_like
from seqlight.errors import UnsupportedOperation


def number(sequences, references, others, dimension, merge=False):
    """Return tensors in which each entry names its sequence, and its reference in the second."""
    recorded = torch.zeros(sequences, *others)
    reference = torch.zeros(references * sequences, *others)
    for i in range(sequences):
        recorded[i] = i
        for r in range(references):
            reference[r * sequences + i] = 100 * (r + 1) + i
    recorded, reference = recorded.movedim(0, dimension), reference.movedim(0, dimension)
    if merge:  # as attention merges the batch with the heads: batch major
        recorded, reference = recorded.flatten(dimension, dimension + 1), reference.flatten(dimension, dimension + 1)
    return recorded, reference


@pytest.mark.parametrize(
    ("sequences", "references", "dimension", "merge"),
    [
        *itertools.product([1, 2, 3], [1, 2, 5], [0, 1, 2], [False]),
        *itertools.product([1, 2, 3], [1, 2, 5], [0, 1], [True]),
    ],
)
def test_partners_are_aligned(sequences, references, dimension, merge):
    recorded, reference = number(sequences, references, (2, 5), dimension, merge)
    a, b = align_partners(recorded, reference)
    assert torch.equal(b % 100, a.expand(b.shape))
    assert torch.equal(repeat_like(recorded, reference), reference % 100)
    assert repeat_like(recorded, reference).shape == reference.shape


def test_batch_dimension():
    assert batch_dimension(torch.zeros(2, 3), torch.zeros(2, 3)) is None
    assert batch_dimension(torch.zeros(2, 3), torch.zeros(8, 3)) == (0, 4)
    assert batch_dimension(torch.zeros(7, 2, 3), torch.zeros(7, 6, 3)) == (1, 3)


@pytest.mark.parametrize(
    ("recorded", "reference"), [((2, 3), (4, 6)), ((2, 3), (3, 3)), ((2, 3), (2, 3, 1)), ((0, 3), (4, 3)), ((4,), (2,))]
)
def test_shapes_that_do_not_match_are_refused(recorded, reference):
    with pytest.raises(UnsupportedOperation, match="mixes the rows"):
        batch_dimension(torch.zeros(recorded), torch.zeros(reference))


def test_interpolation():
    recorded, reference = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [0.0], [3.0], [4.0]])
    assert interpolate(recorded, reference, 0.0).tolist() == reference.tolist()
    assert interpolate(recorded, reference, 1.0).flatten().tolist() == [1, 2, 1, 2]
    assert interpolate(recorded, reference, 0.5).flatten().tolist() == [0.5, 1, 2, 3]


def test_a_single_sequence_is_its_own_partner():
    """No views are made where it broadcasts against its references as they are."""
    recorded, reference = number(1, 5, (2, 3), 1)
    a, b = align_partners(recorded, reference)
    assert a is recorded
    assert b is reference
