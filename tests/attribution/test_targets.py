"""Targets are read from a model's output; those that it does not have raise."""

from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seqlight.attribution.targets import Targets
from seqlight.errors import InputError, UnsupportedOperation
from seqlight.targets import Counts
from seqlight.targets.contrast import Contrast

pytestmark = pytest.mark.accelerator

Y = torch.arange(12.0).view(4, 3)
ROWS = torch.arange(4)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (1, [[1], [4], [7], [10]]),
        (-1, [[2], [5], [8], [11]]),
        ((2,), [[2], [5], [8], [11]]),
        ((np.int64(2),), [[2], [5], [8], [11]]),
        (np.int32(1), [[1], [4], [7], [10]]),
        (np.array(1), [[1], [4], [7], [10]]),
        (torch.tensor(1), [[1], [4], [7], [10]]),
        (np.array([0, 1, 2, -1]), [[0], [4], [8], [11]]),
        (np.array([[0], [1], [2], [2]], dtype=np.uint16)[::-1], [[2], [5], [7], [9]]),
        (Contrast(np.int64(2), torch.tensor(0)), [[2], [2], [2], [2]]),
        ([np.int64(0), torch.tensor(1)], [[0, 1], [3, 4], [6, 7], [9, 10]]),
        (torch.tensor([0, 1, 2, -1]), [[0], [4], [8], [11]]),
        (torch.tensor([0, 1, 2, 2], dtype=torch.int8), [[0], [4], [8], [11]]),
        (lambda y: y.sum(1), [[3], [12], [21], [30]]),
        (lambda y: y[:, :1], [[0], [3], [6], [9]]),
        (Contrast(2, 0), [[2], [2], [2], [2]]),
        (Contrast(lambda y: y.sum(1), torch.tensor([0, 0, 2, 2])), [[3], [9], [13], [19]]),
        ([0, Contrast(2, 1)], [[0, 1], [3, 1], [6, 1], [9, 1]]),
        ([2], [[2], [5], [8], [11]]),
    ],
)
def test_targets_read_the_same_numbers_as_indexing(target, wanted):
    assert Targets(target, 4).read(Y, ROWS).tolist() == wanted


def test_a_target_for_each_sequence_goes_with_its_references():
    targets = Targets(torch.tensor([0, 2]), 2)
    assert targets.read(Y, torch.tensor([0, 1, 0, 1])).flatten().tolist() == [0, 5, 6, 11]
    assert targets.read(Y[:2], torch.tensor([1, 1])).flatten().tolist() == [2, 5]


def test_outputs_of_more_dimensions():
    y = torch.arange(24.0).view(2, 3, 4)
    assert Targets((1, -1), 2).read(y, ROWS[:2]).flatten().tolist() == [7, 19]
    places = torch.tensor([[0, 1], [-1, 3]])
    assert Targets(places, 2).read(y, torch.tensor([0, 1])).flatten().tolist() == [1, 23]
    with pytest.raises(InputError, match="target is 4"):
        Targets(places + 1, 2).read(y, ROWS[:2])
    with pytest.raises(InputError, match="2 indices for each sequence"):
        Targets(places, 2).read(y[:, :, 0], ROWS[:2])
    assert Targets(lambda y: y[0].mean(dim=(1, 2)), 2).read((y, None), ROWS[:2]).shape == (2, 1)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 1, 1)])
def test_outputs_of_one_number(shape):
    assert Targets(0, 3).read(torch.arange(3.0).view(shape), ROWS[:3]).flatten().tolist() == [0, 1, 2]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (3, 2, 5), (3, 0)])
def test_outputs_that_cannot_be_used(shape):
    with pytest.raises(InputError):
        Targets(0, 3).read(torch.zeros(shape), ROWS[:3])


@pytest.mark.parametrize(
    "target",
    [None, True, 1.5, "0.5", [], [None], (1.0,), Contrast(0, None), torch.zeros(4), torch.zeros(3, dtype=torch.int64),
     torch.tensor(True), torch.tensor(1.0), np.bool_(True), np.float64(1.0), np.zeros(4), np.array(["a"] * 4),
     np.zeros(3, int), (True,), torch.zeros(4, dtype=torch.bool),
     torch.zeros(4, 1, 1, dtype=torch.int64), torch.zeros(4, 0, dtype=torch.int64)],
)  # fmt: skip
def test_unusable_targets_raise(target):
    with pytest.raises(InputError, match="target"):
        Targets(target, 4)


@pytest.mark.parametrize("target", [3, -4, (3,), (0, 0), torch.tensor([0, 0, 0, 3]), torch.tensor([0, 0, 0, -4])])
def test_targets_that_the_model_does_not_have(target):
    with pytest.raises(InputError, match="target is"):
        Targets(target, 4).read(Y, ROWS)


@pytest.mark.parametrize("result", [1.0, torch.zeros(3), torch.zeros(4, 2), torch.zeros(())])
def test_target_functions_must_return_one_number_per_row(result):
    with pytest.raises(InputError, match="target function returned"):
        Targets(lambda y: result, 4).read(Y, ROWS)


@pytest.mark.parametrize(("columns", "message"), [(1, "1 output: expected 0, its only output"), (0, "no output")])
def test_the_message_says_how_many_outputs_there_are(columns, message):
    with pytest.raises(InputError, match=f"target is 5 and the model has {message}"):
        Targets(5, 4).read(Y[:, :columns], ROWS)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ((Y, Y), r"returns a tuple: .* lambda y: y\[0\]\[:, 0\]\."),
        ({"logits": Y, 1: Y}, r"""returns a dict of 'logits', 1: .* lambda y: y\["key"\]\[:, 0\]\."""),
        (OrderedDict(y=Y), r"""returns an OrderedDict of 'y': .* lambda y: y\["key"\]\[:, 0\]\."""),
        (SimpleNamespace(y=Y), r"returns a SimpleNamespace: .* lambda y: y\.name\[:, 0\]\."),
        (None, "returns None: expected one tensor; return one tensor from its forward"),
        (Y.numpy(), "returns an ndarray: expected one tensor; return one tensor from its forward"),
    ],
)
def test_outputs_of_other_kinds(output, message):
    with pytest.raises(UnsupportedOperation, match=message):
        Targets(0, 4).read(output, ROWS)


def test_a_model_that_squeezes_leaves_no_row_of_a_batch_of_one():
    assert Targets(0, 1).read(torch.tensor(3.0), ROWS[:1]).tolist() == [[3]]
    with pytest.raises(InputError):
        Targets(0, 2).read(torch.tensor(3.0), ROWS[:2])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cuonts", r"target is 'cuonts': did you mean 'counts', or a column such as 0"),
        (["[0, 1]"], r"target is \[0, 1\]: expected a number"),
        (Counts, r"target is the class Counts: expected one of its objects, Counts\(\.\.\.\)"),
    ],
)
def test_what_was_nearly_a_target(target, message):
    with pytest.raises(InputError, match=message):
        Targets(target, 4)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2", 2),
        ("Counts", Counts()),
        ("counts(reduction=log_sum)", Counts(reduction="log_sum")),
        ("contrast(0, counts)", Contrast(0, Counts())),
        ("[0, counts]", [0, Counts()]),
        (["0", "counts"], [0, Counts()]),
        (Contrast("counts", "0"), Contrast(Counts(), 0)),
    ],
)
def test_a_text_is_read_as_what_it_stands_for(text, meant):
    found, expected = Targets(text, 4), Targets(meant, 4)
    assert found.several == expected.several
    torch.testing.assert_close(found.read(Y, ROWS), expected.read(Y, ROWS))


@pytest.mark.parametrize(
    ("output", "head"), [((Y, Y), "0"), ({"logits": Y, 1: Y}, "'logits'"), (SimpleNamespace(y=Y), "'name'")]
)
def test_the_message_names_a_target_with_a_head(output, head):
    with pytest.raises(UnsupportedOperation, match=rf"seqlight.targets, such as Column\(0, head={head}\)"):
        Targets(0, 4).read(output, ROWS)
