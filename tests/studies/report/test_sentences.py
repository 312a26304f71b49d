"""What a study says in each situation: a table of situations, each with the text that a user has to find."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.studies.report.judgement import judge
from seqlight.studies.report.sentences import explain, find_sentences
from seqlight.studies.report.summaries import describe_outcome, find_tone
from study_stand_in import ABOUT, POSITIONS, ROWS, StudyStandIn

TRACK = torch.linspace(-1, 1, POSITIONS, dtype=torch.float64).expand(ROWS, POSITIONS)
OTHER = TRACK.flip(-1)
NAN = float("nan")
NO_NUMBERS = {"miss": NAN, "r": NAN}


def study(dtypes=("float64",), **options):
    """Return a study of one model from cells by implementation, or by "implementation dtype"."""
    cells = options.pop("cells")
    return StudyStandIn({("mine", *name.split()): what for name, what in cells.items()}, dtypes=dtypes, **options)


# By what it is about: cells and options, the verdict, and parts of what follows.
SITUATIONS = {
    "two agree": (
        {"cells": {"seqlight": {}, "tangermeme": {"miss": 4e-15}}},
        "You can believe seqlight and tangermeme on this model: they are complete and agree.",
        ["seqlight 0.1.0 and tangermeme 1.6.0 agree to the last bit, and miss 4e-15 of the output difference, wh"],
    ),
    "they agree nearly": (
        {
            "cells": {"seqlight": {}, "tangermeme": {}},
            "arrays": {"tangermeme": TRACK * (1 + 1e-7)},
        },
        "You can believe seqlight and tangermeme on this model: they are complete and agree.",
        ["agree to 1e-7 of the largest contribution"],
    ),
    "the faster of them": (
        {"cells": {"seqlight": {"seconds": 0.5}, "tangermeme": {"seconds": 0.02}}},
        "You can believe",
        ["The fastest is tangermeme with 20 ms a call in float64; seqlight takes 500 ms."],
    ),
    "one is wrong and silent": (
        {
            "cells": {"seqlight": {}, "tangermeme": {}, "captum-deeplift": {"miss": 0.4, "r": 0.54, "miss_max": 2.0}},
            "suspects": {
                "captum-deeplift": [
                    ("MaxPool1d", "trunk.2", "directly behind ReLU in `trunk.1`", "Put `x * 1.0` between them."),
                    ("softmax", "", "normalised once more", ""),
                ]
            },
        },
        "You can believe seqlight and tangermeme on this model",
        [
            "Captum's DeepLift (captum 0.9.0) misses 40 % of the output difference (200 % in the worst pair) and does "
            "not say so (r = 0.54 with seqlight). The likely cause is `MaxPool1d` in `trunk.2`: directly behind ReLU "
            "in `trunk.1`. What to do: Put `x * 1.0` between them. Suspect, too: `softmax` in the model itself."
        ],
    ),
    "many suspects": (
        {
            "cells": {"captum-deeplift": {"miss": 0.4}},
            "suspects": {"captum-deeplift": [(f"relu{i}", "", "a function", "") for i in range(6)]},
        },
        "Believe none of them",
        ["do not use it for this model. Suspect, too: `relu1` in the model itself, `relu2` in the model itself and 3"],
    ),
    "several reasons at one place": (
        {
            "cells": {"captum-deeplift": {"miss": 0.4}},
            "suspects": {
                "captum-deeplift": [
                    ("MaxPool1d", "pool", "its windows overlap", ""),
                    ("MaxPool1d", "pool", "it directly follows ReLU", ""),
                    ("gelu", "net", "a function", ""),
                    ("gelu", "net", "used twice", ""),
                ]
            },
        },
        "Believe none of them",
        ["its windows overlap. What to do: do not use it for this model. Suspect, too: `gelu` in `net`."],
    ),
    "one is wrong and warns": (
        {"cells": {"seqlight": {}, "tangermeme": {"miss": 2.0, "verdict": "warned", "warnings": ["W: high\nx"]}}},
        "seqlight is complete on this model, and the only one of its method that is: nothing confirms",
        ["tangermeme 1.6.0 misses 200 % of the output difference, and warns: “W: high” (r = 1 with seqlight). Whi"],
    ),
    "one is wrong and warns twice": (
        {
            "cells": {
                "tangermeme": {
                    "miss": 0.3,
                    "verdict": "warned",
                    "warnings": ["W: deltas tensor([1.0, 2.0])", "W: an operation has no rule"],
                }
            }
        },
        "Believe none of them",
        ["and warns: “W: an operation has no rule”."],
    ),
    "one is wrong and prints": (
        {"cells": {"seqlight": {}, "shap": {"miss": 12.3, "verdict": "said"}}, "printed": {"shap": "delta 3\n"}},
        "seqlight is complete on this model",
        [
            "misses 1,200 % of the output difference",
            "prints something, but does not warn",
            "to the terminal: “delta 3”.",
        ],
    ),
    "integrated gradients": (
        {"cells": {"seqlight": {}, "captum-integrated-gradients": {"miss": 1e-3, "r": 0.987}}},
        "seqlight is complete on this model",
        [
            "integrated gradients (captum 0.9.0) itself misses 0.1 %",
            "no ground truth",
            "(r = 0.987 with seqlight)",
        ],
    ),
    "integrated gradients, complete": (
        {
            "cells": {"seqlight": {}, "captum-integrated-gradients": {"miss": 3e-7, "r": 0.89}},
            "arrays": {"captum-integrated-gradients": OTHER},
        },
        "seqlight is complete on this model",
        ["misses 3e-7 of the output difference, but divides that difference among positions in another way than s"],
    ),
    "integrated gradients, too few steps": (
        {"cells": {"seqlight": {}, "captum-integrated-gradients": {"miss": 0.4}}},
        "seqlight is complete on this model",
        ["misses 40 %", "give it more of them"],
    ),
    "integrated gradients alone": (
        {"cells": {"seqlight": {"miss": 0.3}, "captum-integrated-gradients": {"miss": 1e-3}}},
        "You can believe Captum's integrated gradients on this model, up to the miss below",
        ["seqlight 0.1.0 misses 30 % of the output difference and does not say so."],
    ),
    "two are complete and differ": (
        {"cells": {"seqlight": {}, "shap": {"r": 0.5}}, "arrays": {"shap": OTHER}},
        "seqlight and shap's DeepExplainer are both complete on this model, but do not agree",
        ["shap's DeepExplainer (shap 0.51.0) misses 6e-16", "(r = 0.50 with seqlight): it follows other rules."],
    ),
    "two agree, a third is complete and differs": (
        {"cells": {"seqlight": {}, "tangermeme": {}, "shap": {"r": 0.5}}, "arrays": {"shap": OTHER}},
        "You can believe seqlight and tangermeme on this model: they are complete and agree; shap's DeepExplainer is ",
        ["seqlight 0.1.0 and tangermeme 1.6.0 agree", "shap's DeepExplainer (shap 0.51.0) misses 6e-16"],
    ),
    "one only": (
        {"cells": {"seqlight": {}}},
        "seqlight is complete on this model; no other implementation took part: nothing confirms",
        [],
    ),
    "none is right": (
        {
            "cells": {"seqlight": {"miss": 0.87, "verdict": "warned"}, "tangermeme": {"miss": 0.9}},
            "audit": [
                ["mul", "(Net)", "hidden", 1, 0.87, "It takes what `gt` computed."],
                ["add", "", "linear", 1, 0.0, ""],
            ],
        },
        "Believe none of them on this model: not one sums to the output difference.",
        ["`seqlight.audit` finds where it is lost: `mul` in (Net) loses 87 %: It takes what `gt` computed.", "says so"],
    ),
    "no outputs to compare with": (
        {"cells": {"seqlight": NO_NUMBERS}},
        "Nothing here can be checked: there are no contributions",
        ["seqlight 0.1.0 cannot be checked in float64, for plain calls of the model gave no outputs."],
    ),
    "no promise": (
        {"cells": {"seqlight": {}, "mutagenesis": {"miss": 3, "r": 0.8, "top_overlap": 0.63, "sign_flips": 0.12}}},
        "seqlight is complete on this model",
        [
            "(seqlight 0.1.0) answers another question and does not promise to sum to the output difference; "
            "its likeness: r = 0.80 with seqlight, 63 % of the largest positions in common, another sign at 12 % of"
        ],
    ),
    "nothing but no promise": (
        {"cells": {"mutagenesis": {"miss": 3}}},
        "Nothing here can be checked",
        ["another question"],
    ),
    "no contributions": (
        {
            "cells": {
                "seqlight": {"status": "refused", "error": "UnsupportedOperation: no rule"},
                "tangermeme": {"status": "error", "error": "RuntimeError: a view\nlines"},
                "captum-deeplift": {"status": "crashed", "error": "its process ended with exit status 3"},
                "captum-integrated-gradients": {"status": "time limit", "error": "no answer within 60 s"},
                "mutagenesis": {"status": "memory limit"},
                "shap": {"status": "absent", "verdict": "", "version": None},
            }
        },
        "No implementation gave contributions for this model.",
        [
            "seqlight 0.1.0 refuses this model, which is better than wrong numbers: “UnsupportedOperation: no rule”.",
            "tangermeme 1.6.0 ends with an error: “RuntimeError: a view”.",
            "Captum's DeepLift (captum 0.9.0) crashed: “its process ended with exit status 3”.",
            "did not finish within the limit of time (raise time_limit to wait longer): “no answer within 60 s”.",
            "Mutagenesis (seqlight 0.1.0) took more memory than the limit (raise memory_limit if there is more).",
            "DeepExplainer took no part, for shap is not installed. What to do: `pip install shap`.",
        ],
    ),
    "side effects": (
        {"cells": {"seqlight": {}, "shap": {"changed_state": ["hooks", "random state"]}}},
        "You can believe seqlight and shap's DeepExplainer",
        ["shap's DeepExplainer (shap 0.51.0) leaves something changed behind it: hooks and random state."],
    ),
    "a needless warning": (
        {"cells": {"seqlight": {}, "tangermeme": {"verdict": "warned", "warnings": ["UserWarning: beware"]}}},
        "You can believe seqlight and tangermeme",
        ["tangermeme 1.6.0 warns, although it is complete: “UserWarning: beware”."],
    ),
    "NaN": (
        {"cells": {"seqlight": {}, "tangermeme": NO_NUMBERS}, "arrays": {"tangermeme": OTHER * NAN}},
        "seqlight is complete on this model",
        ["tangermeme 1.6.0 returns NaN or infinity among its contributions, and does not say so."],
    ),
    "NaN only": (
        {"cells": {"tangermeme": NO_NUMBERS}, "arrays": {"tangermeme": OTHER * NAN}},
        "Believe none of them on this model",
        [],
    ),
    "a constant output": (
        {"cells": {"seqlight": NO_NUMBERS, "tangermeme": NO_NUMBERS}, "output": 0.0},
        "There is nothing to explain: the output of this model does not depend on the sequence.",
        [],
    ),
    "an output that hardly depends on the sequence": (
        {"cells": {"seqlight": {"miss": 2e-6}}, "output": 1e-9},
        "seqlight is complete on this model",
        ["misses 2e-6 of the output difference, which is rounding in float64"],
    ),
    "rows that depend on one another": (
        {
            "cells": {
                "seqlight": {
                    "status": "refused",
                    "error": "UnsupportedOperation: changes with the other rows of its batch",
                },
                "tangermeme": {"miss": 0.5},
            }
        },
        "Believe none of them before you mend the model: its output for one sequence depends on the other sequences",
        ["tangermeme 1.6.0 misses 50 %"],
    ),
    "rows that depend on one another, by plain calls": (
        {"cells": {"tangermeme": {}}, "mixed_rows": 0.3},
        "Believe none of them before you mend the model",
        [],
    ),
    "rows that depend on one another, a warning": (
        {"cells": {"seqlight": {"verdict": "warned", "warnings": ["BatchWarning: the model's output"]}}},
        "Believe none of them before you mend the model",
        [],
    ),
    "no float64": (
        {
            "cells": {
                "seqlight float64": {"status": "error", "error": "RuntimeError: expected Float"},
                "seqlight float32": {"miss": 2e-7},
            },
            "dtypes": ("float64", "float32"),
        },
        "seqlight is complete on this model",
        ["does not run in float64 (“RuntimeError: expected Float”): all this is said of float32, where a miss below"],
    ),
    "float32, too": (
        {"cells": {"seqlight float64": {}, "seqlight float32": {"miss": 2e-6}}, "dtypes": ("float64", "float32")},
        "seqlight is complete on this model",
        ["In float32, seqlight stays complete: the largest miss is 2e-6, which is rounding there."],
    ),
    "not in float32": (
        {
            "cells": {
                "seqlight float64": {},
                "seqlight float32": {"miss": 0.02},
                "tangermeme float64": {},
                "tangermeme float32": {"status": "error", "error": "E: no"},
            },
            "dtypes": ("float64", "float32"),
        },
        "You can believe seqlight and tangermeme",
        [
            "In float32, seqlight misses 2 %, more than rounding",
            "In float32, tangermeme gives no contributions (error): “E: no”",
        ],
    ),
}


STATUSES = ["ok", "ok", "ok", "refused", "error", "crashed", "time limit", "memory limit", "absent"]
TEXTS = st.text(max_size=40)
CELL = st.fixed_dictionaries(
    {
        "status": st.sampled_from(STATUSES),
        "verdict": st.sampled_from(["silent", "said", "warned", "raised", ""]),
        "miss": st.one_of(st.floats(0, 1e6), st.just(NAN), st.sampled_from([0.0, 1e-7, 1e-3, 0.05])),
        "miss_max": st.one_of(st.floats(0, 1e9), st.just(NAN)),
        "r": st.one_of(st.floats(-1, 1), st.just(NAN)),
        "top_overlap": st.one_of(st.floats(0, 1), st.just(NAN)),
        "sign_flips": st.one_of(st.floats(0, 1), st.just(NAN)),
        "seconds": st.one_of(st.floats(0, 1e5), st.just(NAN)),
        "warnings": st.lists(TEXTS, max_size=2),
        "error": TEXTS,
        "changed_state": st.lists(st.sampled_from(["hooks", "gradients", "random state"]), max_size=2),
    }
)


@settings(max_examples=60)
@given(
    cells=st.dictionaries(st.tuples(st.sampled_from(list(ABOUT)), st.sampled_from(["float64", "float32"])), CELL),
    output=st.sampled_from([0.0, 1e-300, 1.0]),
    suspects=st.dictionaries(st.sampled_from(list(ABOUT)), st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), max_size=5)),
)
def test_whatever_came_of_the_cells_there_is_a_verdict(cells, output, suspects):
    made = {f"{name} {dtype}": one for (name, dtype), one in cells.items()}
    results = study(cells=made, output=output, suspects=suspects, dtypes=("float64", "float32"))
    if not made:
        results.models = ["mine"]
        results.settings["cases"]["mine"] = {}
    verdict, *_ = find_sentences(results, judge(results, "mine"))
    assert verdict.text.endswith(".")
    for one in find_sentences(results, judge(results, "mine")):
        assert one.text
        assert not {"nan", "None"} & set(one.text.split())
    for one in judge(results, "mine").cells:
        assert describe_outcome(one)
        assert find_tone(one) in ("good", "fair", "bad", "plain")


def test_a_model_without_cells_was_not_asked_about():
    results = study(cells={"seqlight": {}})
    results.cells = results.cells.iloc[:0]
    assert explain(results, "mine") == "This model was not asked about yet: run the command of the study again."


@pytest.mark.reliability(
    "studies",
    "a model that cannot be called on the sequences",
    "one sentence with its error, and what to do",
)
def test_a_model_that_cannot_be_called_is_said_once():
    failed = {"status": "error", "error": "RuntimeError: expected 5 channels"}
    results = study(cells={"seqlight": failed, "tangermeme": failed}, failure="RuntimeError: expected 5 channels")
    assert explain(results, "mine").startswith(
        "The model itself cannot be called on these sequences: “RuntimeError: expected 5 channels”. What to do: "
    )
    assert "\n" not in explain(results, "mine")


@pytest.mark.parametrize(("made", "verdict", "parts"), SITUATIONS.values(), ids=SITUATIONS)
def test_a_situation_has_its_sentence(made, verdict, parts):
    first, *others = explain(study(**made), "mine").split("\n")
    assert first.startswith(verdict)
    for part in parts:
        assert sum(part in one for one in others) == 1, (part, others)


@pytest.mark.reliability(
    "studies", "every implementation misses the output difference of a model", "the study says: believe none"
)
def test_all_wrong_implementations_are_named():
    cells = {name: {"miss": 0.5} for name in ("seqlight", "tangermeme", "captum-deeplift")}
    first, *others = explain(study(cells=cells), "mine").split("\n")
    assert first.startswith("Believe none of them")
    assert len(others) == 3


def test_those_that_mislead_come_before_those_that_warn():
    cells = {"tangermeme": {"miss": 0.5, "verdict": "warned"}, "captum-deeplift": {"miss": 0.4}}
    _, first, second = explain(study(cells=cells), "mine").split("\n")
    assert first.startswith("Captum's DeepLift")
    assert second.startswith("tangermeme")
