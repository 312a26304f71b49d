"""A text or a mapping, from the command line or a YAML file, becomes a target."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seqlight.errors import InputError
from seqlight.targets import Column, Contrast, Counts, LogOdds, Profile, Specificity, as_target, parse, registry


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3", 3),
        (" -1 ", -1),
        ("(1, -2)", (1, -2)),
        ("1, 2", (1, 2)),
        ("[0, counts]", [0, Counts()]),
        ("counts", Counts()),
        ("counts()", Counts()),
        ("counts(head=1)", Counts(head=1)),
        ("counts(head=counts)", Counts(head="counts")),
        ("counts(head=(human, 1))", Counts(head=("human", 1))),
        ("profile(weights=constant, head=0)", Profile(weights="constant", head=0)),
        ('log_odds(2, given="binary logits")', LogOdds(2, given="binary logits")),
        ("specificity(3, others=[0, 1])", Specificity(3, others=(0, 1))),
        ("Counts", Counts()),
        ("Column(0, head='counts')", Column(0, head="counts")),
        ("seqlight.targets.Counts", Counts()),
        ("seqlight.targets.Specificity(2)", Specificity(2)),
        ("torch.squeeze", torch.squeeze),
    ],
)
def test_texts(text, wanted):
    assert parse(text) == as_target(text) == wanted


def test_contrasts_of_texts():
    for found in (
        parse("contrast(2, counts(head=1))"),
        parse("Contrast(2, Counts(head=1))"),
        as_target({"class_path": "seqlight.targets.Contrast", "init_args": {"a": 2, "b": "counts(head=1)"}}),
        as_target(
            {"class_path": "contrast", "init_args": {"a": 2, "b": {"class_path": "counts", "init_args": {"head": 1}}}}
        ),
    ):
        assert isinstance(found, Contrast)
        assert (found.a, found.b) == (2, Counts(head=1))


def test_mappings():
    path = "seqlight.targets.Specificity"
    assert as_target({"class_path": path, "init_args": {"task": 3}}) == Specificity(3)
    assert as_target({"class_path": "specificity", "init_args": {"task": 3, "others": [0, 1]}}) == Specificity(
        3, others=(0, 1)
    )
    assert as_target({"class_path": "counts"}) == as_target({"class_path": "counts", "init_args": None}) == Counts()


def test_what_is_a_target_already_stays():
    column = np.array([0, 1])
    for target in (2, (1, 2), column, Counts(), torch.squeeze):
        assert as_target(target) is target
    assert as_target([0, "counts"]) == [0, Counts()]


@pytest.mark.reliability(
    "targets", "a name that is misspelt, or arguments that do not fit", "refused, with the right name"
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cunts", "target is 'cunts': did you mean 'counts'"),
        ("cunts(head=1)", "did you mean 'counts'"),
        ("", "expected a column such as 0, a name"),
        ("1.5", "expected a column such as 0"),
        ("None", "expected a column"),
        ("'0'", "expected a column"),
        ("()", "expected a column"),
        ("lambda y: y", "expected a column"),
        ("counts(", r"target is 'counts\(': expected as many brackets that close as that open\."),
        ("counts(head=1", "expected as many brackets"),
        ("counts(*a)", "did you mean 'counts'"),
        ("counts(head=print(1))", "did you mean 'counts'"),
        ("__import__('os').getcwd()", "expected a column"),
        ("counts(hed=1)", r"target 'counts' cannot be made: .*keyword argument 'hed'; it takes task, reduction, "),
        ("specificity", r"target 'specificity' cannot be made: .*missing 1 required positional argument: 'task'"),
        ("no.such.module", "cannot be imported"),
        ("torch.nope", "cannot be imported"),
        ("torch.float32", "expected a function of the model's output"),
        ("torch.squeeze(1)", "is a function: expected its name alone"),
        ({"init_args": {}}, "expected a mapping with class_path"),
        ({"class_path": "counts", "head": 1}, "expected a mapping with class_path"),
        ({"class_path": "nope"}, "target is 'nope'"),
    ],
)
def test_what_is_no_target(text, message):
    with pytest.raises(InputError, match=message):
        as_target(text)


def test_a_package_may_name_its_own(monkeypatch):
    entry = SimpleNamespace(name="mine", load=lambda: Column)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry] if group == "seqlight.targets" else [])
    assert parse("mine(3)") == Column(3)
    assert "mine" in registry.named_targets()


def test_targets_of_ours_need_no_package_that_names_its_own(monkeypatch):
    def load():
        raise ImportError

    monkeypatch.setattr(registry, "entry_points", lambda group: [SimpleNamespace(name="broken", load=load)])
    assert parse("[column(3), counts, 0]") == [Column(3), Counts(), 0]
