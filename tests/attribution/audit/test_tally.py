"""Losses are summed by operation, module and treatment."""

import math

import pytest
import torch

from seqlight.attribution.audit.hidden_dependence import Origin
from seqlight.attribution.audit.operations import AuditedCall
from seqlight.attribution.audit.pair_auditor import AuditedPair
from seqlight.attribution.audit.tally import LossTally


def pair(*losses, delta=0.0, left=0.0, **more):
    names = [
        ("conv", "a (A)", "linear"),
        ("relu", "b (B)", "Rescale"),
        ("relu", "b (B)", "Rescale"),
        ("mul", "", "linear"),
    ]
    calls = [AuditedCall(o, m, [how], loss) for (o, m, how), loss in zip(names, losses, strict=False)]
    return AuditedPair(calls, delta, 2.0, AuditedCall("what is left", "", ["unseen"], left), note="unseen", **more)


def test_rows_and_shares():
    tally = LossTally([pair(0, 1.0, 2.0, delta=3.0), pair(0, 1.0, -2.0, delta=-1.0)], 1e-6)
    assert [(row.operation, row.treatment, row.calls) for row in tally.rows] == [
        ("conv", "linear", 1),
        ("relu", "rescale", 2),
    ]
    assert tally.rows[1].losses.tolist() == [3, -1]
    assert tally.share(tally.rows[1].losses) == pytest.approx(1.0)
    assert "report" in tally.rows[1].note
    assert not tally.rows[0].note
    assert tally.deltas.tolist() == [3, -1]


def test_operations_outside_modules_are_listed_only_if_they_lose():
    assert len(LossTally([pair(0, 0, 0, 0)], 1e-6).rows) == 2
    assert LossTally([pair(0, 0, 0, 1.0)], 1e-6).rows[-1].operation == "mul"


def test_hidden_operands_count_only_where_something_is_lost():
    for loss, treatment in ((1.0, "hidden"), (1e-9, "linear")):
        one = pair(loss)
        one.calls[0].hidden.extend([None, Origin("gt", "c (C)")])
        (row,) = LossTally([one], 1e-6).rows
        assert row.treatment == treatment
        assert ("`gt` in c (C)" in row.note) is (treatment == "hidden")


def test_the_remainder_is_listed_if_it_exceeds_rounding():
    assert len(LossTally([pair(0, left=1e-12)], 1e-6).rows) == 1
    rows = LossTally([pair(0, left=1.0), pair(0, left=0.5)], 1e-6).rows
    assert rows[1].losses.tolist() == [1.0, 0.5]
    assert (rows[1].treatment, rows[1].note) == ("unseen", "unseen")


def test_refusals():
    refused = AuditedPair([AuditedCall("conv", "a (A)", ["linear"])], refused=AuditedCall("sort", "b (B)"), note="no")
    tally = LossTally([refused, refused], 1e-6)
    assert [(row.operation, row.treatment, row.note) for row in tally.rows] == [
        ("conv", "linear", ""),
        ("sort", "refused", "no"),
    ]
    assert all(math.isnan(tally.share(row.losses)) for row in tally.rows)
    some = LossTally([refused, pair(0, 1.0, 1.0, delta=2.0)], 1e-6)
    assert [row.treatment for row in some.rows] == ["linear", "rescale", "refused"]
    assert some.deltas.tolist() == [2.0]


def test_losses_that_are_nan_exceed_rounding():
    tally = LossTally([pair(float("nan"), delta=float("nan"))], 1e-6)
    assert tally.exceeds_rounding(tally.rows[0].losses)
    assert tally.exceeds_rounding(tally.deltas)
    assert not tally.exceeds_rounding(torch.zeros(0))
