"""What seqlight does not have is looked for in its modules, and among the names of other packages."""

import subprocess
import sys
from importlib import import_module

import pytest

import seqlight
from seqlight.foreign_names import MODULES, NAMES, NAMES_IN


def test_modules_of_public_names_need_no_import(python):
    code = "import seqlight as sl; print(sl.targets.Counts(head=1), sl.lit.AttributionPrior.__name__)"
    assert python("-c", code).stdout.split() == ["counts(head=1)", "AttributionPrior"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("DeepLiftShapModule", "it is in seqlight.lit"),
        ("AttributionCallback", "it is in seqlight_callbacks"),
        ("IntegratedGradients", "here it is seqlight.integrated_gradients"),
        ("extract_loci", "here it is seqlight.GenomeDataset"),
    ],
)
def test_a_name_that_is_elsewhere_is_told(name, says):
    with pytest.raises(AttributeError, match=rf"^module 'seqlight' has no attribute '{name}': {says}$"):
        getattr(seqlight, name)


def test_asking_for_a_name_loads_no_pytorch():
    code = "import sys, seqlight; assert not hasattr(seqlight, 'Counts'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_others_are_refused_without_advice():
    for name in ("nothing", "__wrapped__", "_private"):
        with pytest.raises(AttributeError, match=f"^module 'seqlight' has no attribute '{name}'$"):
            getattr(seqlight, name)


def test_all_of_ours_exist_and_no_other_name_is_ours():
    assert set(NAMES) <= set(seqlight.__all__)
    for place, names in NAMES_IN.items():
        assert set(names.split()) <= set(import_module(place).__all__)
    for others in NAMES.values():
        assert not set(seqlight.__all__).intersection(others.split())
    assert not set(MODULES).intersection(seqlight.__all__)
