"""Stored contributions as an implementation."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from seqlight.studies import stored_array
from seqlight.studies.implementations.registry import choose_implementations

X, REFERENCES = torch.zeros(3, 4, 10), torch.zeros(3, 2, 4, 10)


def read(one):
    return one.contributions(nn.Identity(), X, REFERENCES, (), 0, 0)


@pytest.mark.parametrize("shape", [(3, 10), (3, 2, 10)])
@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", ">f4"])
def test_contributions_are_those_of_the_file(tmp_path, shape, dtype):
    numbers = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    np.save(tmp_path / "a.npy", numbers)
    # It has to reach a worker.
    one = pickle.loads(pickle.dumps(stored_array(tmp_path / "a.npy", name="theirs")))
    assert (one.name, one.title, one.package) == ("theirs", "theirs", "numpy")
    assert read(one).dtype == torch.float32
    assert np.array_equal(read(one).numpy(), numbers.astype("float32"))


@pytest.mark.reliability("studies", "a stored array of another shape", "an error with the shapes that are expected")
@given(st.lists(st.integers(1, 5), max_size=4))
@settings(max_examples=25)
def test_another_shape(tmp_path_factory, shape):
    path = tmp_path_factory.mktemp("stored") / "a.npy"
    np.save(path, np.zeros(shape))
    with pytest.raises(sl.InputError, match=r"expected \(rows, positions\), here \(3, 10\), or .*\(3, 2, 10\)"):
        read(stored_array(path))


@pytest.mark.reliability("studies", "a stored array that is no array of numbers", "an error that names the file")
@pytest.mark.parametrize("content", [b"", b"not an array", "words", "archive", "objects"])
def test_no_array(tmp_path, content):
    path = tmp_path / "a.npy"
    if content == "words":
        np.save(path, np.array(["a", "b"]))
    elif content == "archive":
        np.savez(tmp_path / "a.npz", a=np.zeros(3))
        (tmp_path / "a.npz").rename(path)
    elif content == "objects":
        np.save(path, np.array([{}], dtype=object))
    else:
        path.write_bytes(content)
    with pytest.raises(sl.InputError, match=r"a\.npy (cannot be read|holds)"):
        stored_array(path)
    with pytest.raises(sl.InputError, match="cannot be read"):
        stored_array(tmp_path / "absent.npy")


def test_a_file_that_changed_is_another_implementation(tmp_path):
    functions = []
    for number in (0, 0, 1):
        np.save(tmp_path / "a.npy", np.full((3, 10), number))
        functions.append(pickle.dumps(stored_array(tmp_path / "a.npy").contributions))
    assert functions[0] == functions[1] != functions[2]


def test_the_path_is_enough_in_a_list(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 10)))
    first, second = choose_implementations(f"seqlight,{tmp_path / 'a.npy'}")
    assert (first.name, second.name) == ("seqlight", "a")
