"""What an audit prints."""

import math
import re

import pandas as pd
import pytest
from torch import nn

from seqlight import random_one_hot
from seqlight.attribution.audit.auditing import audit
from seqlight.attribution.audit.examining import Examined
from seqlight.attribution.audit.meetings import Meeting
from seqlight.attribution.audit.verdict import Audit


class Deep(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def look(model):
    return audit(model, random_one_hot((3, 4, 20), random_state=1), device="cpu")


def test_it_prints(Around):
    good, bad = look(Around(nn.ReLU())), look(Around(Deep(lambda h: h * (h.flip(1) > 0).double())))
    assert str(good).splitlines()[0].split() == ["operation", "module", "treatment", "calls", "lost"]
    assert "Complete: attributions miss" in str(good)
    assert "\n\nNot complete: attributions miss" in repr(bad)
    assert re.search(r"`mul` in middle \(Deep\) loses \d+\.\d\d%: In it is what `gt`", str(bad))
    assert "<table" in bad._repr_html_()
    assert "(x &gt; 0)" in bad._repr_html_()
    assert isinstance(bad.table, pd.DataFrame)
    deep = look(Around(nn.Sequential(*(Deep(lambda h: 2 * h) for _ in range(30)), nn.ReLU())))
    assert len(str(deep).splitlines()) < 10
    assert "Not shown: 3" in str(deep)


def test_losses_that_cancel_are_named_all_the_same(Around):
    found = look(Around(Deep(lambda h: (h - h.detach() / 2) + h.detach() / 2)))
    assert found.complete
    assert set(found.culprits.operation) == {"sub", "add"}
    assert "cancels" in str(found)


def pair(loss):
    return Examined([Meeting("relu", "a (A)", ["Rescale"], loss)], loss, 1.0, Meeting("left", "", ["unseen"]))


@pytest.mark.parametrize(("loss", "exact", "complete"), [(1e-4, True, False), (1e-4, False, True), (1e-8, True, True)])
def test_what_is_rounding_depends_on_the_precision(loss, exact, complete):
    found = Audit.of([pair(loss)], 1, exact)
    assert found.complete is complete
    assert len(found.culprits) == (not complete)


def test_an_audit_of_nothing_and_of_no_numbers():
    assert "0 pairs" in str(Audit.of([], 0, True)) or math.isnan(Audit.of([], 0, True).lost)
    assert not Audit.of([pair(float("nan"))], 1, True).complete
    refused = Audit.of([Examined([], refused=Meeting("the model", ""), note="no")], 1, True)
    assert refused.losses.shape == (1, 0)
    assert "`the model`: no" in str(refused)
