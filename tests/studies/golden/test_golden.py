"""Files of golden records: their names, and what is in them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.studies.golden.golden import golden_path
from seqlight.studies.golden.golden_difference import golden_difference
from seqlight.studies.golden.golden_record import GoldenRecord, read_golden, record_attributions, record_model

names = st.text(min_size=1, max_size=200)


@pytest.mark.reliability(
    "Golden attributions", "names of parameters with slashes, colons, any characters, any length", "a file for each"
)
@given(st.lists(st.tuples(names, st.integers(1, 20)), unique=True, max_size=6))
def test_each_call_of_each_test_has_a_file_of_its_own(calls):
    file = Path("tests/test_model.py")
    found = [golden_path(file, test, call) for test, call in calls]
    assert len(set(found)) == len(calls)
    for path in found:
        assert path.parent == Path("tests/attribution_golden/test_model")
        assert len(path.name) < 140
        assert path.name.isascii()
        assert not set(path.name) & set('<>:"/\\|?*\0')


def test_a_record_comes_back_as_it_was(tmp_path):
    X = sl.random_one_hot((2, 4, 20), random_state=0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 2))
    record = record_model(model, X, n_shuffles=2, target=1)
    record.save(tmp_path / "a.npz", "test_a")
    found = read_golden(tmp_path / "a.npz", "test_a")
    assert np.array_equal(found.attributions, record.attributions)
    assert np.array_equal(found.outputs, model(X.float())[:, 1].detach())
    assert found.facts == record.facts
    assert golden_difference(found, record, 0) == ""
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("found", [torch.ones(2, 5, dtype=torch.bfloat16), np.ones((2, 5)), torch.ones(2, 5).int()])
def test_attributions_of_any_dtype_are_recorded(found, tmp_path):
    record_attributions(found).save(tmp_path / "a.npz", "test_a")
    assert (read_golden(tmp_path / "a.npz", "test_a").attributions == 1).all()


def test_targets_are_named():
    old = GoldenRecord(np.ones((2, 3, 4, 5)), np.ones((2, 3)), {"versions": {}})
    new = GoldenRecord(old.attributions.copy(), old.outputs.copy(), {"versions": {}})
    new.attributions[1, 2, 3, 4] = 2
    assert "most in row 1, target 2, position 4 (1 -> 2)" in golden_difference(old, new, 1e-3)
    new.attributions[1, 2, 3, 4] = 1
    new.outputs[0, 1] = 2
    assert "most in row 0, target 1 (1 -> 2), while" in golden_difference(old, new, 1e-3)


def test_outputs_count_where_attributions_are_the_same():
    old = GoldenRecord(np.ones((2, 5)), np.ones(2), {"versions": {"torch": "2.8.0+cpu"}})
    new = GoldenRecord(np.ones((2, 5)), np.array([1.0, 1.5]), {"versions": {"torch": "2.9.0+cpu"}})
    assert golden_difference(old, new, 1e-3) == (
        "outputs moved by 33 % of the largest, where 0.1 % is allowed, most in row 1 (1 -> 1.5), while attributions "
        "did not, with torch 2.8.0+cpu -> 2.9.0+cpu"
    )


def test_another_build_of_the_same_version_is_no_cause():
    old = GoldenRecord(np.ones((1, 5)), None, {"versions": {"torch": "2.8.0+cpu"}})
    new = GoldenRecord(np.zeros((1, 5)), None, {"versions": {"torch": "2.8.0+cu128"}})
    assert "with the same versions" in golden_difference(old, new, 1e-3)


def test_another_shape_is_said():
    old, new = (GoldenRecord(np.ones((1, n)), None, {"versions": {}}) for n in (5, 6))
    assert golden_difference(old, new, 1e-3).startswith("attributions have the shape (1, 6) and had (1, 5), with")
