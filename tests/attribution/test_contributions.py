"""Contributions of a block, and what is said of those that do not add up."""

import warnings

import pytest
import torch

from seqlight.attribution.contributions import Block, Misses, adds_up, attributions, chosen, joined, pairs
from seqlight.errors import ConvergenceWarning, InputError


def block(deltas, differences):
    deltas, differences = (torch.tensor([one], dtype=torch.float64) for one in (deltas, differences))
    return Block(torch.zeros(1, 2, 4, 3), torch.zeros(1, 2, 4, 3), deltas, differences)


def test_contributions_written_out():
    torch.manual_seed(0)
    m, r = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    X = torch.eye(4)[torch.randint(0, 4, (2, 5))].transpose(1, 2)
    found = attributions(Block(m, r, torch.zeros(2, 3), torch.zeros(2, 3)), X, True)
    for i in range(2):
        for letter in range(4):
            for position in range(5):
                wanted = 0.0
                for k in range(3):
                    for other in range(4):
                        there = float(other == letter) - r[i, k, other, position]
                        wanted += m[i, k, other, position] * there / 3
                assert found[i, letter, position] == pytest.approx(float(wanted), abs=1e-6)
    assert torch.equal(attributions(Block(m, r, r, r), X, False), found * X)


def test_pairs_are_sorted_by_sequence():
    n, b = 3, 2
    rows = torch.arange(n * b, dtype=torch.float64).view(-1, 1, 1)
    x = torch.zeros(b, 1, 1, dtype=torch.float64)
    m, r, deltas, differences = pairs(rows, rows, rows.flatten(), x, torch.tensor([10.0, 20.0]), n)
    assert m[0].flatten().tolist() == [0, 2, 4]  # row k * b + i is reference k of sequence i
    assert r[1].flatten().tolist() == [1, 3, 5]
    assert differences.tolist() == [[10, 8, 6], [19, 17, 15]]
    assert deltas[0].tolist() == [-10, -4 - 8, -16 - 6]


def test_blocks_are_joined():
    one = block([1.0, 2.0], [1.0, 1.0])
    assert joined([one, one], 0).deltas.shape == (2, 2)
    assert joined([one, one], 1).references.shape == (1, 4, 4, 3)


@pytest.mark.parametrize(
    ("deltas", "differences", "threshold", "warned"),
    [
        ([0.0, 0.0], [1.0, 1.0], 1e-3, False),
        ([2e-3, 0.0], [1.0, 1.0], 1e-3, True),
        ([-2e-3, 0.0], [1.0, 1.0], 1e-3, True),
        ([5e-4, 5e-4], [1.0, 1.0], 1e-3, False),
        ([5e-6, 5e-6], [1e-5, 1e-5], 1e-3, True),  # small, but half of what is to be explained
        ([float("nan"), 0.0], [1.0, 1.0], 1e-3, True),
    ],
)
def test_when_it_is_warned(deltas, differences, threshold, warned):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        misses = Misses(threshold)
        misses.add(block(deltas, differences))
        misses.warn()
    assert [one.category for one in found] == [ConvergenceWarning] * warned


def test_what_adds_up():
    assert adds_up(block([1e-9, 0.0], [1.0, 1.0]))
    assert not adds_up(block([0.1, 0.0], [1.0, 1.0]))
    assert not adds_up(block([float("nan"), 0.0], [1.0, 1.0]))


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 1, 1)])
def test_outputs_of_one_number(shape):
    assert chosen(torch.arange(3.0).view(shape), 0, 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (3, 2, 5), (3, 0)])
def test_outputs_that_cannot_be_used(shape):
    with pytest.raises(InputError):
        chosen(torch.zeros(shape), 0, 3)
