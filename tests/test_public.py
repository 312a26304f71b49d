"""``import seqlight`` has every public name at once, and loads nothing that is not needed."""

import ast
import compileall
import inspect
import json
import operator
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import seqlight

# What sends rows through a model, as many at a time as `batch_size` says.
BATCHED = (
    "predict",
    "attribute",
    "deep_lift_shap",
    "input_x_gradient",
    "integrated_gradients",
    "saturation_mutagenesis",
    "run",
    "DeepLift.attribute",
)
HEAVY = ("lightning", "pytorch_lightning", "matplotlib", "captum", "numba", "pandas", "triton")


def in_a_new_process(code):
    """Return what code prints, as JSON; for tests that do not measure loading PyTorch there is the fixture `python`."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_public_name_is_there():
    for name in seqlight.__all__:
        assert getattr(seqlight, name) is not None
    assert set(seqlight.__all__) == set(dir(seqlight))


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(seqlight.__file__).read_text())
    declared = {
        (node.module, alias.asname)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == {(module, name) for module, names in seqlight._CONTENTS.items() for name in names}


def test_the_docstring_is_the_table_of_contents():
    for module, names in seqlight._CONTENTS.items():
        if module != "seqlight.errors":
            assert all(name in seqlight.__doc__ for name in names)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'substitue'"):
        _ = seqlight.substitue


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert seqlight.__version__ == version("seqlight")


def test_importing_loads_nothing_heavy():
    loaded = in_a_new_process("import sys, json, seqlight; print(json.dumps(sorted(sys.modules)))")
    assert not {name.split(".")[0] for name in loaded} & {*HEAVY, "torch"}


def test_sequences_predictions_and_attributions_load_nothing_heavy(python):
    code = (
        "import sys, json, seqlight as sl; sl.substitute, sl.shuffle, sl.predict, sl.deep_lift_shap; "
        "sl.hypothetical_attributions; "
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert not {name.split(".")[0] for name in json.loads(python("-c", code).stdout)} & set(HEAVY)


def test_a_first_explanation_loads_nothing_heavy(python):
    code = """
import json, sys, torch
from torch import nn
import seqlight as sl
layers = [nn.Conv1d(4, 8, 5), nn.GELU(), nn.Softplus(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(80, 1)]
sl.deep_lift_shap(nn.Sequential(*layers).double(), sl.random_one_hot((2, 4, 24)), device="cpu")
print(json.dumps(sorted(sys.modules)))
"""
    # What makes calls in these two visible needs them, and in PyTorch 2.6 they load SymPy and Triton.
    patched = "torch.utils.checkpoint, torch.nn.attention.flex_attention"
    own = f"import json, sys, {patched}; print(json.dumps(sorted(sys.modules)))"
    loaded, by_pytorch = ({name.split(".")[0] for name in json.loads(python("-c", one).stdout)} for one in (code, own))
    assert not (loaded - by_pytorch) & {*HEAVY, "sympy"}
    assert not loaded & {*HEAVY, "sympy"} or tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13)


def test_importing_takes_hardly_longer_than_torch():
    compileall.compile_dir(Path(seqlight.__file__).parent, quiet=2)  # as pip does; PyTorch's modules are compiled
    code = """
import json, time
start = time.process_time()
import torch
torch_took = time.process_time() - start
import seqlight as sl
sl.substitute, sl.shuffle, sl.predict, sl.deep_lift_shap
print(json.dumps((time.process_time() - start) / torch_took))
"""
    # Of the processor, which depends less on what else is running; up to three times, until one is quick enough.
    assert any(in_a_new_process(code) <= 1.15 for _ in range(3))


@pytest.mark.parametrize("name", BATCHED)
def test_what_happens_where_memory_runs_out_is_documented(name):
    call = operator.attrgetter(name)(seqlight)
    assert "OutOfMemory\n" in call.__doc__.partition("Raises")[2]
    assert "MemoryWarning\n" in call.__doc__.partition("Warns")[2]


def test_every_batch_size_of_a_function_is_found():
    functions = {name for name in seqlight.__all__ if inspect.isfunction(getattr(seqlight, name))}
    sized = {name for name in functions if "batch_size" in inspect.signature(getattr(seqlight, name)).parameters}
    assert sized == {name for name in BATCHED if "." not in name}


def test_errors_form_one_tree():
    from seqlight import errors

    found = [one for one in vars(errors).values() if isinstance(one, type)]
    assert all(issubclass(one, errors.SeqlightError | errors.SeqlightWarning) for one in found)
    assert issubclass(errors.InputError, ValueError)
    # The tree in the docstring names every class.
    assert all(one.__name__ in errors.__doc__ for one in found)
