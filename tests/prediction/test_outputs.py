"""Outputs of any structure, collected batch by batch."""

from collections import OrderedDict, namedtuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlight.errors import InputError
from seqlight.prediction.outputs import OutputCollector

Pair = namedtuple("Pair", "mean spread")


def collect(outputs, rows):
    collector = OutputCollector(rows)
    for output, n in outputs:
        collector.add(output, n)
    return collector.result()


def structured(y):
    return {
        "plain": y,
        "listed": [y + 1, (y.sum(dim=1), None)],
        "named": Pair(y * 2, y.argmax(dim=1)),
        "wide": y[:, :, None].expand(-1, -1, 3),
    }


def same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            same(found[key], expected[key])
    elif expected is not None:
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
def test_batches_are_concatenated(sizes, data):
    total = sum(sizes)
    # The number of rows: right, unknown, too small and too large.
    rows = data.draw(st.sampled_from([total, None, total + 3, max(1, total - 2)]))
    Y = torch.arange(total * 2.0).reshape(total, 2)
    outputs = [(structured(part), len(part)) for part in Y.split(sizes)]
    same(collect(outputs, rows), structured(Y))


@pytest.mark.parametrize("rows", [5, None])
def test_a_model_that_squeezes(rows):
    # The last batch has one row, so that squeezing removes that dimension too.
    Y = torch.randn(5, 3)
    same(collect([(Y[:4], 4), (Y[4], 1)], rows), Y)
    y = torch.randn(5)
    same(collect([(y[:4], 4), (y[4], 1)], rows), y)
    same(collect([(y[0], 1), (y[1:], 4)], rows), y)
    same(collect([((Y[:4], y[:4]), 4), ((Y[4], y[4]), 1)], rows), (Y, y))


@pytest.mark.parametrize("rows", [4, None])
def test_memory_that_the_model_reuses_is_copied(rows):
    buffer = torch.zeros(2, 3)
    collector = OutputCollector(rows)
    for value in (1, 2):
        collector.add(buffer.fill_(value), 2)
    buffer.fill_(9)
    assert collector.result()[:, 0].tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize("rows", [2, None])
def test_a_single_batch_is_copied_too(rows):
    y = torch.zeros(2, 3)
    found = collect([(y, 2)], rows)
    y.fill_(9)
    assert not found.any()


def test_the_result_is_allocated_with_the_first_batch():
    collector = OutputCollector(6)
    collector.add(torch.zeros(2, 3), 2)
    place = collector._whole.data_ptr()
    for _ in range(2):
        collector.add(torch.ones(2, 3), 2)
    assert collector.result().data_ptr() == place


def test_mappings_become_dicts_and_results_of_torch_stay_tuples():
    y = torch.randn(4, 3)
    same(collect([(OrderedDict(a=y), 4)], 4), {"a": y})
    found = collect([(torch.max(y[:2], dim=1), 2), (torch.max(y[2:], dim=1), 2)], 4)
    assert torch.equal(found.values, y.max(dim=1).values)
    assert torch.equal(found.indices, y.max(dim=1).indices)


def test_results_are_detached():
    y = torch.randn(4, 3, requires_grad=True)
    with torch.no_grad():
        for rows in (4, None):
            assert not collect([(y * 2, 4)], rows).requires_grad


@pytest.mark.parametrize("rows", [4, None])
@pytest.mark.parametrize(
    ("second", "message"),
    [
        (torch.ones(3, 3), r"the model turned 2 rows into an output of shape \(3, 3\): expected one row for each"),
        (torch.ones(2, 4), r"the model turned 2 rows into an output of shape \(2, 4\): .*all of one shape"),
        (torch.tensor(1.0), r"the model turned 2 rows into an output of shape \(\)"),
        (
            [torch.ones(2, 3)],
            r"structure of the .* differs between batches \(Tensor, list\): expected the same",
        ),
        (None, r"differs between batches \(NoneType, Tensor\)"),
    ],
)
def test_later_batches_must_have_the_shape_of_the_first(rows, second, message):
    collector = OutputCollector(rows)
    collector.add(torch.ones(2, 3), 2)
    with pytest.raises(InputError, match=message):
        collector.add(second, 2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": torch.ones(2)}, {"b": torch.ones(2)}),
        ({"a": torch.ones(2)}, {"a": torch.ones(2), "b": torch.ones(2)}),
        ([torch.ones(2)], [torch.ones(2), torch.ones(2)]),
        ((torch.ones(2), None), (torch.ones(2), torch.ones(2))),
    ],
)
def test_structures_must_agree(first, second):
    collector = OutputCollector(4)
    collector.add(first, 2)
    with pytest.raises(InputError, match="differs between batches"):
        collector.add(second, 2)


@pytest.mark.parametrize("output", [1.0, "x", torch.ones(2).numpy(), {"a": 3}, [torch.ones(2), object()]])
def test_outputs_of_other_types_are_refused(output):
    with pytest.raises(InputError, match=r"the model's output holds a \w+: expected tensors in tuples, lists or dicts"):
        OutputCollector(2).add(output, 2)


def test_a_result_without_rows_is_refused():
    with pytest.raises(InputError, match="X is empty: expected at least one row"):
        OutputCollector(None).result()


def test_checking_an_output_does_not_add_it():
    collector = OutputCollector(2)
    assert torch.equal(collector.check(torch.tensor(1.0), 1), torch.tensor([1.0]))
    collector.add(torch.zeros(2, 3), 2)
    assert collector.check(torch.ones(3), 1).shape == (1, 3)
    with pytest.raises(InputError, match="5 rows"):
        collector.check(torch.ones(4, 3), 5)
    assert collector.done == 2
    assert torch.equal(collector.result(), torch.zeros(2, 3))


@pytest.mark.reliability(
    "models", "a forward without a return, or that returns no tensor", "an error that says what came back"
)
@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "returned None: .* look for a missing `return` in its forward"),
        ((), "returned a tuple without a tensor"),
        ({}, "returned a dict without a tensor"),
        (OrderedDict(y=None, more=[None]), "returned an OrderedDict without a tensor"),
        (1.0, "output holds a float"),
        ("ACGT", "output holds a str"),
        ((one for one in [torch.ones(2)]), "output holds a generator"),
        ([torch.ones(2), 3], "output holds a int"),
        (torch.ones(2, 3).to_sparse(), r"output is of layout torch\.sparse_coo: .*; use its \.to_dense\(\)"),
        ({"y": torch.ones(2, 3, device="meta")}, "output is on the meta device"),
        (torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged), "output is nested"),
    ],
)
def test_outputs_that_cannot_be_collected(output, message):
    with pytest.raises(InputError, match=f"^the model('s)? {message}") as caught:
        OutputCollector(2).add(output, 2)
    assert "\n" not in str(caught.value)


def test_complex_outputs_are_collected():
    y = torch.view_as_complex(torch.randn(2, 3, 2))
    assert torch.equal(collect([(y, 2)], 2), y)
