"""Equal to Captum wherever Captum's own delta is at rounding; the list of where it is not goes into docs/captum.md.

The list is made by running Captum: what it misses, and which single layer has to go for it to add up. After a change,
``SEQLIGHT_REWRITE=1 pytest tests/attribution/test_captum_agreement.py`` writes the page anew.
"""

import functools
import os
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from captum.attr import DeepLift
from torch import nn

from seqlight import deep_lift_shap, random_one_hot

INTRODUCTION = """# Where Captum's DeepLIFT is complete, and where it is not

Written by tests/attribution/test_captum_agreement.py with Captum {version}, on small models in float64: a convolution,
the layers named in the table, and a dense layer. *Miss*: the largest difference between the sum of contributions and
the output difference, as a share of the mean output difference. *Complete without*: the layer whose removal reduces
Captum's miss to rounding. Where Captum is complete, seqlight gives the same contributions, to 1e-9. Seqlight's own
miss is at most 1e-9 for each model.

| layers | Captum's miss | complete without |
|---|---|---|"""
PAGE = Path(__file__).parents[2] / "docs" / "captum.md"
X = random_one_hot((3, 4, 24), random_state=2)


def layer(function, name):
    """Return a module class with this forward, that prints as `name`."""
    return type(name, (nn.Module,), {"forward": lambda self, x: function(x), "__module__": __name__})


Functional = layer(torch.relu, "torch.relu(x)")
Method = layer(lambda x: x.relu(), "x.relu()")
Gate = layer(lambda x: x * torch.sigmoid(x), "x * sigmoid(x)")
Square = layer(lambda x: x * x, "x * x")
Maximum = layer(lambda x: x.amax(2), "x.amax(2)")
Exponential = layer(torch.exp, "torch.exp(x)")
Division = layer(lambda x: x / (1 + x.abs().sum(1, keepdim=True)), "x / x.abs().sum(1)")
Product = layer(lambda x: torch.softmax(x.mT @ x, -1) @ x.mT, "softmax(x.T @ x) @ x.T")
ReLUSubclass = type("class MyReLU(nn.ReLU)", (nn.ReLU,), {})
Turn = layer(lambda x: x.mT, "x.T")


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(6, 6, 3, padding=1), nn.ReLU())

    def forward(self, x):
        return x + self.body(x)

    def __repr__(self):
        return "x + relu(conv(x))"


class Beside(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return x + self.relu(x)

    def __repr__(self):
        return "x + relu(x)"


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        x = x.mT
        return self.attention(x, x, x)[0].mT

    def __repr__(self):
        return "MultiheadAttention"


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 6, batch_first=True)

    def forward(self, x):
        return self.lstm(x.mT)[0]

    def __repr__(self):
        return "LSTM"


def conv(width=3):
    return nn.Conv1d(6, 6, width, padding=1)


def reused():
    relu = nn.ReLU()
    return [relu, conv(), relu]


ZOO = {
    "ReLU": lambda: [nn.ReLU()],
    "two layers of ReLU": lambda: [nn.ReLU(), conv(), nn.ReLU()],
    "Sigmoid": lambda: [nn.Sigmoid()],
    "Tanh": lambda: [nn.Tanh()],
    "ELU": lambda: [nn.ELU()],
    "LeakyReLU": lambda: [nn.LeakyReLU()],
    "Softplus": lambda: [nn.Softplus()],
    "batch norm, ReLU": lambda: [nn.BatchNorm1d(6), nn.ReLU()],
    "max pooling before a convolution": lambda: [nn.MaxPool1d(3), conv(), nn.ReLU()],
    "ReLU, average pooling": lambda: [nn.ReLU(), nn.AvgPool1d(3)],
    "ReLU in place": lambda: [nn.ReLU(inplace=True)],
    "residual block": lambda: [Skip(), Skip()],
    "ReLU, max pooling": lambda: [nn.ReLU(), nn.MaxPool1d(3)],
    "max pooling, ReLU": lambda: [nn.MaxPool1d(3), nn.ReLU()],
    "overlapping max pooling": lambda: [nn.MaxPool1d(4, 2), conv(), nn.ReLU()],
    "ReLU, Sigmoid": lambda: [nn.ReLU(), nn.Sigmoid()],
    "one ReLU used twice": reused,
    "ReLU of what is used elsewhere, too": lambda: [Beside()],
    "ReLU as a function": lambda: [Functional()],
    "ReLU as a method": lambda: [Method()],
    "a subclass of ReLU": lambda: [ReLUSubclass()],
    "GELU": lambda: [nn.GELU()],
    "SiLU": lambda: [nn.SiLU()],
    "gate": lambda: [Gate()],
    "GLU": lambda: [nn.GLU(dim=1)],
    "exponential activation": lambda: [Exponential(), conv()],
    "square": lambda: [Square()],
    "layer norm": lambda: [nn.LayerNorm(24)],
    "division by a sum": lambda: [Division()],
    "global max": lambda: [Maximum()],
    "softmax": lambda: [nn.Softmax(dim=1)],
    "attention by hand": lambda: [Product()],
    "multi-head attention": lambda: [Attention()],
    "transformer layer": lambda: [Turn(), nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)],
    "LSTM": lambda: [Recurrent()],
}


def model_of(layers):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 6, 5, padding=2), *layers, nn.Flatten())
    with torch.no_grad():
        features = model(torch.zeros(2, 4, 24)).shape[1]
    return model.append(nn.Linear(features, 2)).double().eval()


def references():
    torch.manual_seed(1)
    found = torch.rand(3, 4, 24, dtype=torch.float64)
    return found / found.sum(1, keepdim=True)


def captum(model):
    """Return Captum's contributions, and by how much they miss, as a share of the mean output difference."""
    x, r = X.double(), references()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Captum's notice about its hooks
        found, delta = DeepLift(model).attribute(x, r, target=0, return_convergence_delta=True)
    return found.detach(), float(delta.abs().max() / size(model))


def ours(model):
    m = deep_lift_shap(model, X, references=references().unsqueeze(1), raw_outputs=True, device="cpu")[:, 0]
    found = m * (X - references())
    with torch.no_grad():
        wanted = (model(X.double()) - model(references()))[:, 0]
    return found, float((found.sum((1, 2)) - wanted).abs().max() / size(model))


def size(model):
    with torch.no_grad():
        return (model(X.double()) - model(references()))[:, 0].abs().mean()


def is_complete(miss):
    return miss < 1e-10


@functools.cache
def verdict(name):
    """Return Captum's contributions, and how far they are from adding up; the error it raises, and None."""
    torch.manual_seed(0)
    try:
        return captum(model_of(ZOO[name]()))
    except Exception as error:
        return error, None


def culprit(name):
    """Return the first single layer, counted from the output, without which Captum adds up."""
    for i in reversed(range(len(ZOO[name]()))):
        torch.manual_seed(0)
        layers = ZOO[name]()
        gone = layers.pop(i)
        if is_complete(captum(model_of(layers))[1]):
            return (
                f"`{str(gone).split('(kernel')[0].split('((')[0].splitlines()[0].removesuffix('()').removesuffix('(')}`"
            )
    return "more than one layer"


@pytest.mark.parametrize("name", ZOO)
def test_equal_where_captum_adds_up_and_complete_everywhere(name):
    torch.manual_seed(0)
    found, miss = ours(model_of(ZOO[name]()))
    assert miss < 1e-9
    theirs, their_miss = verdict(name)
    if their_miss is not None and is_complete(their_miss):
        torch.testing.assert_close(found, theirs, rtol=1e-9, atol=1e-9)
    elif their_miss is not None:
        assert their_miss > 1e-4, "neither rounding nor a miss: look at it"
        assert not torch.allclose(found, theirs, rtol=1e-3)


def page():
    lines = [INTRODUCTION.format(version=version("captum"))]
    for name in ZOO:
        found, miss = verdict(name)
        if miss is None:
            lines.append(f"| {name} | {type(found).__name__} | |")
        elif is_complete(miss):
            lines.append(f"| {name} | rounding | |")
        else:
            lines.append(f"| {name} | {miss:.1g} | {culprit(name)} |")
    return "\n".join(lines) + "\n"


def test_the_page_in_the_docs_is_up_to_date():
    found = page()
    if os.environ.get("SEQLIGHT_REWRITE"):
        PAGE.write_text(found, encoding="utf-8")
    written = PAGE.read_text(encoding="utf-8")
    # Not what stands above the table: that names a version of Captum.
    assert written[written.index("| layers") :] == found[found.index("| layers") :]
