"""What an Explanation says of itself, printed and in a notebook."""

import copy
import json
import pickle
import re

import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.attribution.explanation import Explanation
from seqlight.errors import InputError


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    layers = [torch.nn.Conv1d(4, 3, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(48, 3)]
    return torch.nn.Sequential(*layers)


@pytest.fixture(scope="module")
def record(model):
    X = sl.random_one_hot((6, 4, 20), random_state=0)
    return sl.attribute(model, X, target=[0, 2], n_shuffles=5, random_state=3, device="cpu")


def test_it_is_printed_in_a_few_lines(record):
    first, *lines = str(record).splitlines()
    assert first == "Explanation by attribute: 6 sequences of 4 x 20, 2 targets"
    found = dict(line.strip().split(": ", 1) for line in lines)
    assert list(found) == ["outputs", "references", "largest delta", "standard error"]
    assert found["outputs"] == f"{record.outputs.min():.4g} to {record.outputs.max():.4g}"
    assert found["references"] == "5 for each sequence, drawn with seed 3"
    assert found["largest delta"].startswith(f"{record.deltas.abs().max():.1e}, {record.relative_deltas.max():.1e} of")
    X = record.attributions != 0
    errors = (record.standard_error * X).flatten(2).norm(dim=2) / record.attributions.flatten(2).norm(dim=2)
    assert found["standard error"].endswith(f"{errors.max():.1%} at most")
    # Its representation still lists the tensors.
    assert repr(record).splitlines()[1] == "  attributions, hypothetical, standard_error: (6, 2, 4, 20) float32"


def test_other_records_say_what_they_know():
    counts = torch.tensor([10, 40])
    padded = Explanation("attribute", torch.ones(2, 4, 5), torch.ones(2, 4, 5), torch.ones(2), n_references=counts)
    assert str(padded).splitlines()[-1] == "  references: 10 to 40 for each sequence"
    spread = Explanation("attribute", *[torch.ones(2, 4, 5)] * 2, torch.ones(2), spread=torch.full((2, 4, 5), 0.25))
    assert str(spread).splitlines()[-1] == (
        "  spread between models: 25.0% of the attributions in the median, 25.0% at most"
    )
    plain = Explanation("input_x_gradient", torch.ones(2, 4, 5), torch.ones(2, 4, 5), torch.tensor([1.0, 3.0]))
    assert str(plain).splitlines() == [
        "Explanation by input_x_gradient: 2 sequences of 4 x 5",
        "  outputs: 1 to 3",
    ]


def test_a_notebook_shows_a_table_and_logos(record):
    shown = record._repr_html_()
    assert shown.count("<tr>") == 1 + 5 * 2
    assert re.findall(r'aria-label="(sequence \d), target 0, positions', shown) == [
        "sequence 0",
        "sequence 1",
        "sequence 2",
    ]
    assert f"<td>{float(record.outputs[1, 1]):.4g}</td>" in shown
    one = record.of_target(1)._repr_html_()
    assert one.count("<tr>") == 6
    assert "target" not in one


def test_a_notebook_shows_no_more_for_many():
    X = sl.random_one_hot((400, 4, 300), random_state=0).unsqueeze(1)
    tensor, numbers = torch.rand(400, 50, 4, 300) * X, torch.rand(400, 50, 20)
    record = Explanation("attribute", tensor, tensor, torch.rand(400, 50), numbers, numbers)
    assert len(record._repr_html_()) < 100_000


@pytest.mark.parametrize("shape", [(0, 4, 20), (2, 4, 0), (2, 7, 9), (1, 1, 4, 6), (2, 0, 4, 5)])
@pytest.mark.parametrize("value", [1.0, float("nan"), float("inf")])
def test_odd_records_are_shown(shape, value):
    tensor = torch.full(shape, value, requires_grad=True)
    outputs = torch.full(shape[:-2], value)
    deltas = torch.full((*shape[:-2], 3), value)
    record = Explanation(
        "attribute", tensor, tensor, outputs, deltas, deltas, tensor, torch.ones(shape[0], dtype=torch.int64)
    )
    assert str(record).startswith("Explanation by attribute: ")
    assert "<pre>" not in record._repr_html_()


@pytest.mark.reliability(
    "Explaining a model",
    "an Explanation used as if it were a tensor: indexed, iterated over, made an array or drawn",
    "an error that names its tensors; NumPy would make an array of one object",
)
@pytest.mark.parametrize(
    "use",
    [lambda one: one[0], list, np.asarray, sl.plot_logo, lambda one: sl.write_modisco("m", one, one)],
)
def test_an_explanation_is_no_tensor(record, use):
    with pytest.raises(InputError, match=r"an Explanation.*\.(attributions|hypothetical)"):
        use(record)


def test_attributes_of_its_tensors_are_told(record):
    with pytest.raises(AttributeError, match=r"no attribute 'sum'; its tensors have one, as in \.attributions\.sum\."):
        record.sum(dim=1)
    with pytest.raises(AttributeError, match=r"an Explanation has no attribute 'seqlets'\."):
        _ = record.seqlets
    again = pickle.loads(pickle.dumps(copy.deepcopy(record)))
    assert torch.equal(again.attributions, record.attributions)


def test_showing_loads_no_matplotlib(python):
    code = """
import json, sys, torch, seqlight as sl
layers = [torch.nn.Conv1d(4, 3, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(48, 1)]
record = sl.attribute(torch.nn.Sequential(*layers), sl.random_one_hot((2, 4, 20)), n_shuffles=2, device="cpu")
assert "<svg" in record._repr_html_()
print(json.dumps(sorted(sys.modules)))
"""
    assert not {"matplotlib", "lightning", "seqlight.plot"} & set(json.loads(python("-c", code).stdout))
