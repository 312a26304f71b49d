"""Words for how an operation is treated, and what to do about one that loses something."""

import pytest

from seqlight.attribution.audit import remedies
from seqlight.attribution.audit.hidden_dependence import Origin


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        (["linear"], "linear"),
        (["linear", "Rescale", "linear"], "rescale"),
        (["MaxPool"], "cross-maximum"),
        (["Product"], "half way"),
        (["Softmax"], "closed form"),
        (["Rescale", "Product"], "in parts"),
        (["Rescale", "Integrated"], "integrated"),
        (["UserRule"], "yours"),
        ([], "linear"),
    ],
)
def test_treatments(rules, wanted):
    assert remedies.treatment(rules) == wanted


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (Origin("gt", "gate (Gate)"), "`gt` in gate (Gate) computed from the input"),
        (Origin("gt", ""), "torch.sign(x).clamp(min=0)"),
        (Origin("relu", "", False), "torch.no_grad()"),
        (Origin("rand", ""), "drew"),
        (Origin("exponential", ""), "drew"),
        (Origin("detach", ""), "leave that out"),
        (Origin("argmax", ""), "amax"),
        (Origin("item", ""), "keep it a tensor"),
        (Origin("long", ""), "one-hot"),
        (Origin("anything", ""), "operations that have a gradient"),
        (None, "no PyTorch call"),
    ],
)
def test_every_origin_has_a_remedy(origin, words):
    assert words in remedies.hidden_note(origin)


def test_of_other_losses():
    divergence = "calls relu where the sequence calls mul"
    assert "report" in remedies.loss_note("rescale")
    assert "random numbers" in remedies.loss_note("rescale", "rrelu")
    assert "`rand` drew" in remedies.control_flow_note(divergence, Origin("rand", ""))
    assert "additional_nonlinear_ops" in remedies.loss_note("yours")
    assert "after `bool` in a (A)" in remedies.control_flow_note(divergence, Origin("bool", "a (A)"))
    assert "torch.where" in remedies.control_flow_note(divergence, None)
