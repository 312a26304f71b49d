"""Contributions of a block of sequences, and whether they add up."""

import pytest
import torch

from blocks import block, concatenate_sequences
from seqlight.attribution.contributions import (
    concatenate_references,
    hypothetical_contributions,
    is_complete,
    make_block,
    same_multipliers,
    worst_pair,
)


def test_contributions_written_out():
    torch.manual_seed(0)
    m, r = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    found = hypothetical_contributions(m, r)
    for i in range(2):
        for k in range(3):
            for letter in range(4):
                for position in range(5):
                    wanted = 0.0
                    for other in range(4):
                        there = float(other == letter) - r[i, k, other, position]
                        wanted += float(m[i, k, other, position] * there)
                    assert found[i, k, letter, position] == pytest.approx(wanted, abs=1e-6)


def test_pairs_are_sorted_by_sequence_and_target():
    n, b = 3, 2
    rows = torch.arange(n * b, dtype=torch.float64).view(-1, 1, 1)
    x = torch.zeros(b, 1, 1, dtype=torch.float64)
    outputs = torch.tensor([[10.0, 1.0], [20.0, 1.0]], dtype=torch.float64)
    baselines = torch.stack([rows.flatten(), -rows.flatten()], dim=1)
    found = make_block([x], [rows], [[rows], [2 * rows]], outputs, baselines)
    (m,), (r,) = found.multipliers, found.references
    assert m[0].flatten(1).tolist() == [[0, 2, 4], [0, 4, 8]]  # row k * b + i is reference k of sequence i
    assert r[1].flatten().tolist() == [1, 3, 5]
    assert found.differences.tolist() == [[[10, 8, 6], [1, 3, 5]], [[19, 17, 15], [2, 4, 6]]]
    assert found.deltas[0].tolist() == [[-10, -4 - 8, -16 - 6], [-1, -8 - 3, -32 - 5]]


def test_contributions_of_several_inputs_are_summed():
    x, r = torch.ones(1, 2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    outputs, baselines = torch.tensor([[5.0]]).double(), torch.tensor([[0.0]]).double()
    found = make_block([x, x], [r, r], [[x, 2 * x]], outputs, baselines)
    assert found.deltas.tolist() == [[[2 + 4 - 5]]]


def test_blocks_are_joined():
    one = block([1.0, 2.0], [1.0, 1.0])
    rows, references = concatenate_sequences([one, one]), concatenate_references([one, one])
    assert rows.deltas.shape == rows.baselines.shape == (2, 1, 2)
    assert rows.multipliers[0].shape == (2, 1, 2, 4, 3)
    assert references.deltas.shape == references.baselines.shape == (1, 1, 4)
    assert references.outputs.shape == (1, 1)
    assert references.references[0].shape == (1, 4, 4, 3)
    assert references.multipliers[0].shape == (1, 1, 4, 4, 3)


def test_same_multipliers():
    one = block([0.0, 0.0], [1.0, 1.0], fill=1.0)
    assert same_multipliers(one, one, 0, 1)
    assert not same_multipliers(one, block([0.0, 0.0], [1.0, 1.0], fill=1.1), 0, 1)


def test_the_worst_pair():
    blocks = [block([1.0, 2.0], [1.0, 1.0]), block([1.0, -3.0], [1.0, 1.0]), block([0.0, 0.0], [1.0, 1.0])]
    assert worst_pair(concatenate_sequences(blocks)) == (1, 1)
    blocks.append(block([float("nan"), 0.0], [1.0, 1.0]))
    assert worst_pair(concatenate_sequences(blocks)) == (3, 0)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_is_complete_does_not_depend_on_units(scale):
    assert not is_complete(block([0.1 * scale, 0.0], [scale, scale]))
    assert is_complete(block([1e-9 * scale, 0.0], [scale, scale]))


def test_is_complete():
    assert is_complete(block([1e-9, 0.0], [1.0, 1.0]))
    assert not is_complete(block([0.1, 0.0], [1.0, 1.0]))
    assert not is_complete(block([float("nan"), 0.0], [1.0, 1.0]))
