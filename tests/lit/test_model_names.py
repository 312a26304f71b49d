from __future__ import annotations

import pickle
import sys
from importlib.metadata import EntryPoint

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.lit import model_names
from seqlight.lit.model_factory import as_model
from seqlight.lit.model_names import find_model

CODE = """
import torch
import a_neighbour_of_net

class Net(torch.nn.Linear):
    def __init__(self, width=2):
        super().__init__(width, a_neighbour_of_net.COLUMNS)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the file of a model, which imports another one; both are forgotten afterwards."""
    monkeypatch.setattr("sys.path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "my_net.py").write_text(CODE)
    (tmp_path / "a_neighbour_of_net.py").write_text("COLUMNS = 3\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def offer(monkeypatch, **models):
    """Let an installed package offer models."""
    group = [EntryPoint(name, value, model_names.GROUP) for name, value in models.items()]
    monkeypatch.setattr(
        model_names, "entry_points", lambda group, name=None: [one for one in found if name in (None, one.name)]
    )
    found = group


def test_a_class_in_a_file(folder, monkeypatch):
    found = find_model(f"{folder}/my_net.py:Net")
    assert find_model(f"{folder}/my_net.py:Net") is found
    model = as_model(f"{folder}/my_net.py:Net", arguments={"width": 4})
    assert model.weight.shape == (3, 4)
    # Another process finds the class by the name of its module.
    assert type(pickle.loads(pickle.dumps(model))) is found
    monkeypatch.chdir(folder)
    assert find_model("my_net.py:Net") is found
    assert find_model("./my_net.py:Net") is found


def test_files_of_one_name(folder):
    """Two files called model.py, and one called like a module that is imported already."""
    for place in ("a", "b"):
        (folder / place).mkdir()
        (folder / place / "my_net.py").write_text(f"import torch\nclass Net(torch.nn.ReLU):\n    place = '{place}'\n")
        (folder / place / "random.py").write_text(f"import torch\nclass Net(torch.nn.ReLU):\n    place = '{place}'\n")
    for name in ("my_net", "random"):
        found = [find_model(f"{folder}/{place}/{name}.py:Net") for place in "abab"]
        assert [one.place for one in found] == list("abab")
        assert found[0] is found[2]
    assert not hasattr(sys.modules["random"], "Net")


@pytest.mark.reliability(
    "models by name", "a file of Python that is missing, fails, or lacks the class; a name without a module", "an error"
)
def test_names_that_are_not_found(folder, monkeypatch):
    (folder / "wrong.py").write_text("import not_a_module_at_all\n")
    for name, message in (
        (f"{folder}/none.py:Net", "there is no file .*none.py': expected a file of Python with the class of the model"),
        (f"{folder}/wrong.py:Net", r"importing wrong\.py fails \(ModuleNotFoundError: No module named 'not_a_module"),
        (f"{folder}/my_net.py:Nut", r"my_net\.py has no 'Nut': expected a class in it, such as Net\.$"),
        (f"{folder}/my_net.py:", r"my_net\.py has no ''"),
        ("nets.py", r"model is 'nets\.py', a file of Python: expected one of its classes, as in nets\.py:Class\.$"),
        ("nets", r"which is not found .*'package\.module\.Class' or 'path/to/file\.py:Class'\.$"),
    ):
        with pytest.raises(sl.InputError, match=message):
            find_model(name)
    assert "wrong" not in sys.modules
    offer(monkeypatch, bpnet="torch.nn:Linear", basset="torch.nn:ReLU")
    with pytest.raises(sl.InputError, match=r"file\.py:Class', or one that is installed: basset, bpnet\."):
        find_model("nets")


def make_relu(inplace=False):
    """Make a model, as a package may offer it."""
    return nn.ReLU(inplace)


def make_nothing():
    """Make what is no model."""


def test_a_package_offers_a_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "offering", sys.modules[__name__])
    offer(monkeypatch, linear="torch.nn:Linear", relu="offering:make_relu", none="offering:make_nothing", lost="no.w:x")
    assert as_model("linear", arguments={"in_features": 3, "out_features": 2}).weight.shape == (2, 3)
    assert as_model("relu", arguments={"inplace": True}).inplace
    for name, message in (
        ("none", "model is None: expected a torch.nn.Module"),
        ("lost", "importing no.w:x fails"),
        ("offering.make_relu", "which is a function: expected the name of a class"),
    ):
        with pytest.raises(sl.InputError, match=message):
            as_model(name)
    with pytest.raises(sl.InputError, match="arguments do not fit relu: got an unexpected keyword argument 'width'"):
        as_model("relu", arguments={"width": 3})


def test_attributions_by_a_class_in_a_file(folder):
    from seqlight.lit import PredictModule

    found = PredictModule(f"{folder}/my_net.py:Net", arguments={"width": 20}).predict_step(torch.zeros(2, 4, 20))
    assert found.shape == (2, 4, 3)
