"""A YAML file names targets by their class, or by a text, for modules and callbacks."""

import jsonargparse
import pytest
import yaml

import seqlight as sl
from seqlight.lit import DeepLiftShapModule
from seqlight.targets import Contrast, Counts, Specificity
from seqlight_callbacks import AttributionCallback

TARGETS = {
    "3": 3,
    "counts": Counts(),
    "counts(head=1)": Counts(head=1),
    "{class_path: seqlight.targets.Counts, init_args: {head: counts, reduction: logsumexp}}": Counts(
        reduction="logsumexp", head="counts"
    ),
    "{class_path: seqlight.targets.Specificity, init_args: {task: 3, others: [0, 1]}}": Specificity(3, others=(0, 1)),
}
CONTRASTS = [
    "{class_path: seqlight.Contrast, init_args: {a: 0, b: 1}}",
    "contrast(0, 1)",
]


def made(kind, target, **more):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "made")
    path = f"{kind.__module__}.{kind.__name__}"
    read = parser.parse_object({"made": {"class_path": path, "init_args": more | {"target": yaml.safe_load(target)}}})
    return parser.instantiate(read).made


@pytest.mark.parametrize("text", TARGETS)
def test_the_module_of_a_run(text):
    assert made(DeepLiftShapModule, text, model="torch.nn.Flatten").target == TARGETS[text]


@pytest.mark.parametrize("text", TARGETS)
def test_callbacks(text, tmp_path):
    probes = tmp_path / "probes.fa"
    sl.write_fasta(probes, sl.random_one_hot((2, 4, 20), random_state=0))
    assert made(AttributionCallback, text, sequences=str(probes), n_shuffles=1).target == TARGETS[text]


@pytest.mark.parametrize("text", CONTRASTS)
def test_contrasts(text):
    found = made(DeepLiftShapModule, text, model="torch.nn.Flatten").target
    assert isinstance(found, Contrast)
    assert (found.a, found.b) == (0, 1)
