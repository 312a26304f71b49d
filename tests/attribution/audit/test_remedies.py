"""Words for how an operation is treated, and what to do about one that loses something."""

import pytest

from seqlight.attribution.audit import remedies
from seqlight.attribution.audit.hidden_dependence import Origin


@pytest.mark.parametrize(
    ("manners", "wanted"),
    [
        (["linear"], "linear"),
        (["linear", "Rescale", "linear"], "rescale"),
        (["MaxPool"], "cross-maximum"),
        (["Product"], "half way"),
        (["Normalise"], "closed form"),
        (["Rescale", "Product"], "in parts"),
        (["Rescale", "Integrated"], "integrated"),
        (["UserRule"], "yours"),
        ([], "linear"),
    ],
)
def test_treatments(manners, wanted):
    assert remedies.treatment(manners) == wanted


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
    assert words in remedies.of_hidden(origin)


def test_of_other_losses():
    assert "report" in remedies.of_loss("rescale")
    assert "random numbers" in remedies.of_loss("rescale", "rrelu")
    assert "`rand` drew" in remedies.of_course("relu where the sequence meets mul", Origin("rand", ""))
    assert "additional_nonlinear_ops" in remedies.of_loss("yours")
    assert "after `bool` in a (A)" in remedies.of_course("relu where the sequence meets mul", Origin("bool", "a (A)"))
    assert "torch.where" in remedies.of_course("the end", None)
