"""Whatever two studies hold: each cell is met once, a study is equal to itself, and less tolerance fails no less."""

import itertools

import numpy as np
import pandas as pd
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqlight.errors import InputError
from seqlight.studies.cell import COLUMNS
from seqlight.studies.comparison.comparison import compare
from seqlight.studies.results import StoredCase, StudyResults

NAMES = {"model": ("a", "b"), "implementation": ("ours", "peer"), "dtype": ("float64", "float32")}
STATUSES = ("refused", "error", "crashed", "time limit", "memory limit", "absent")


class MadeStudy(StudyResults):
    """A study of given cells, which are in no folder."""

    def __init__(self, cells, shape, seed):
        self.folder, self.made, self.X = None, cells, torch.zeros(shape[0], 4, shape[-1])
        case = {"model": {"weights": str(seed)}, "X": str(shape), "references": "", "args": [], "target": 0}
        about = {"package": "peer", "version": "1", "complete": True, "code": "0"}
        self.settings = {
            "versions": {"torch": "2.8.0", "seqlight": "1"},
            "random_state": seed,
            "cases": dict.fromkeys(NAMES["model"], case),
            "implementations": dict.fromkeys(NAMES["implementation"], about),
        }

    complete = True

    @property
    def cells(self):
        rows = [dict(zip(NAMES, key, strict=True)) | facts for key, (facts, _) in self.made.items()]
        return pd.DataFrame(rows, columns=COLUMNS)

    def contributions(self, model, implementation, dtype=None):
        if (model, implementation, dtype) not in self.made:
            raise InputError("there is none")
        return torch.from_numpy(self.made[model, implementation, dtype][1])

    def case(self, model):
        return StoredCase(self.X, self.X[:, None], None)


@st.composite
def studies(draw):
    shape = draw(st.sampled_from([(2, 3), (2, 2, 3), (1, 2, 3), (2, 2, 4)]))
    keys = draw(st.sets(st.sampled_from(list(itertools.product(*NAMES.values())))))
    cells = {}
    for key in sorted(keys):
        ok = draw(st.booleans())
        noticed = ("silent", "said", "warned") if ok else ("", "raised")
        facts = {
            "version": "1",
            "status": "ok" if ok else draw(st.sampled_from(STATUSES)),
            "verdict": draw(st.sampled_from(noticed)),
            "miss": draw(st.floats(0, 2) | st.just(float("nan"))) if ok else float("nan"),
            "warnings": ["RuntimeWarning: it\ndoes not add up"],
            "error": "",
        }
        numbers = st.sampled_from([0.0, 1.0, -1.0, 1.001, 2.0, float("nan"), float("inf")])
        cells[key] = facts, draw(arrays(np.float64, shape, elements=numbers))
    return MadeStudy(cells, shape, draw(st.integers(0, 1)))


@settings(max_examples=40)
@given(studies())
def test_a_study_is_equal_to_itself(study):
    found = compare(study, study)
    assert not found.cells["moved"].any()
    assert not found.cells["failed"].any()
    assert found.failed == (not study.made)
    assert len(str(found).splitlines()) == 1


@settings(max_examples=40)
@given(studies(), studies())
def test_each_cell_is_met_once(old, new):
    found = compare(old, new).cells
    for prefix, study in (("old_", old), ("", new)):
        there = found[found[f"{prefix}status"].notna()]
        keys = zip(there["model"], there["implementation"], there[f"{prefix}dtype"], strict=True)
        assert sorted(keys) == sorted(study.made)


@settings(max_examples=40)
@given(studies(), studies(), st.sampled_from([0, 1e-3, 0.1]))
def test_less_tolerance_fails_no_less(old, new, fail_above):
    strict, loose = compare(old, new, fail_above).cells, compare(old, new, 0.5).cells
    assert not (loose["failed"] & ~strict["failed"]).any()


@settings(max_examples=40)
@given(studies(), studies())
def test_the_text_has_a_line_for_each_cell_that_moved(old, new):
    found = compare(old, new)
    *lines, verdict = str(found).splitlines()
    assert len(lines) == len(found.moved)
    assert [line.startswith("FAILED") for line in lines] == list(found.moved["failed"])
    assert verdict.startswith("FAILED") == found.failed
    assert not (found.cells["failed"] & ~found.cells["moved"].astype(bool)).any()
