"""The printed audit."""

import math
import re

import pandas as pd
import pytest
import torch
from torch import nn

from seqlight import random_one_hot
from seqlight.attribution.audit.model_audit import audit
from seqlight.attribution.audit.operations import AuditedCall
from seqlight.attribution.audit.pair_auditor import AuditedPair
from seqlight.attribution.audit.result import Audit
from user_operations import Deep, by_numpy


def look(model):
    return audit(model, random_one_hot((3, 4, 20), random_state=1), device="cpu")


def test_the_printed_audit(Around):
    good, bad = look(Around(nn.ReLU())), look(Around(Deep(lambda h: h * by_numpy(h.flip(1)))))
    assert str(good).splitlines()[0].split() == ["operation", "module", "treatment", "calls", "lost"]
    assert "Complete: attributions miss" in str(good)
    assert "\n\nNot complete: attributions miss" in repr(bad)
    assert re.search(r"`mul` in middle \(Deep\) loses \d+\.\d\d%: It takes what `(numpy|detach)`", str(bad))
    assert "<table" in bad._repr_html_()
    assert "A Python number" in bad._repr_html_()
    assert isinstance(bad.table, pd.DataFrame)
    deep = look(Around(nn.Sequential(*(Deep(lambda h: 2 * h) for _ in range(30)), nn.ReLU())))
    assert len(str(deep).splitlines()) < 10
    assert "Not shown: 3" in str(deep)


def test_losses_that_cancel_are_still_listed(Around):
    found = look(Around(Deep(lambda h: (h - by_numpy(h) / 2) + by_numpy(h) / 2)))
    assert found.complete
    assert set(found.culprits.operation) == {"sub", "add"}
    assert "cancels" in str(found)


def pair(loss, rounding=0.0, **more):
    call, left = AuditedCall("relu", "a (A)", ["Rescale"], loss, rounding=rounding), AuditedCall("left", "", ["unseen"])
    left.rounding = rounding
    return AuditedPair([call], loss, 1.0, left, **more)


@pytest.mark.parametrize(
    ("loss", "exact", "complete"), [(1e-4, True, False), (1e-4, False, True), (1e-8, True, True), (1e-2, False, False)]
)
def test_the_tolerance_depends_on_the_dtype(loss, exact, complete):
    dtype = torch.float64 if exact else torch.float32
    found = Audit.from_pairs([pair(loss, dtype=dtype), pair(0.0)], 1)
    assert found.complete is complete
    assert len(found.culprits) == (not complete)


def test_an_audit_without_pairs_or_with_nan():
    assert "0 pairs" in str(Audit.from_pairs([], 0)) or math.isnan(Audit.from_pairs([], 0).lost)
    assert not Audit.from_pairs([pair(float("nan"))], 1).complete
    refused = Audit.from_pairs([AuditedPair([], refused=AuditedCall("the model", ""), note="no")], 1)
    assert refused.losses.shape == (1, 0)
    assert "\nthe model: no." in str(refused)


def test_rounding_error_of_large_numbers_is_not_a_loss():
    assert Audit.from_pairs([pair(0.1, rounding=0.05**2, dtype=torch.float32)], 1).complete
    assert not Audit.from_pairs([pair(0.1, rounding=0.005**2, dtype=torch.float32)], 1).complete


def test_the_grammar_of_counts():
    assert "in 1 pair of 1 sequence" in str(Audit.from_pairs([pair(0.1)], 1))
    assert "in 2 pairs of 2 sequences" in str(Audit.from_pairs([pair(0.1)] * 2, 2))
    assert "miss nothing of" in str(Audit.from_pairs([pair(0.0)], 1))
    many = [AuditedCall("relu", f"{i} (ReLU)", ["Rescale"]) for i in range(30)]
    one = AuditedPair(
        [AuditedCall("conv1d", "a (A)", ["linear"]), *many], 0.0, 1.0, AuditedCall("left", "", ["unseen"])
    )
    assert "Not shown: 1 row of a linear operation, which loses nothing." in str(Audit.from_pairs([one], 1))


def test_outputs_that_are_all_the_same():
    same = AuditedPair([AuditedCall("mul", "a (A)", ["linear"])], 0.0, 0.0, AuditedCall("left", "", ["unseen"]))
    found = Audit.from_pairs([same], 1)
    assert found.complete
    assert "the output does not depend on the sequence" in str(found)


def test_a_remark_on_the_dtype():
    printed = str(Audit.from_pairs([pair(1e-5, dtype=torch.float32)], 1, "in float32, because it rains"))
    found = " ".join(printed.split())
    assert "which is rounding in float32." in found
    assert "Computed in float32, because it rains." in found


def test_a_notebook_shows_no_more_than_some_rows(python):
    import pandas as pd
    import torch

    from seqlight.attribution.audit.result import COLUMNS, MAX_HTML_ROWS, Audit

    rows = [["relu", f"block.{i}", "rescale", 1, 0.0, ""] for i in range(500)]
    found = Audit(pd.DataFrame(rows, columns=COLUMNS), True, 0.0, torch.zeros(500, 2), torch.zeros(2), 1)
    shown = found._repr_html_()
    assert shown.count("<tr") <= MAX_HTML_ROWS + 5
    assert "Complete" in shown
