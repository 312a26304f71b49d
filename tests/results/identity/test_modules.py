"""Models that compute the same have the same fingerprint, and others have another one."""

from __future__ import annotations

import copy
import textwrap

import lightning.pytorch as L
import pytest
import torch
from torch import nn

from seqlight.errors import InputError
from seqlight.results.fingerprints import fingerprint_model

NET = """
import torch
from torch import nn

def activation(x):
    return x * 2

class Block(nn.Module):
    gain = 3
    def forward(self, x):
        return activation(self.inner(x)) * self.gain
    def inner(self, x):
        return x - 4

class Net(Block):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.scale, self.steps, self.f = 5, [6, 7], lambda x: x + 8
        self.register_buffer("mask", torch.ones(2) * 9, persistent=False)
        self.hidden = [nn.Linear(2, 2)]
    def forward(self, x):
        return super().forward(self.f(self.linear(x)) * self.scale * self.mask)
    def extra_repr(self):
        return ""
"""


def made(source=NET):
    scope = {"__name__": "__main__"}
    torch.manual_seed(0)
    exec(compile(textwrap.dedent(source), "<cell>", "exec"), scope)
    return scope["Net"]()


def differing(one, other):
    return {name for name in {**one, **other} if one.get(name) != other.get(name)}


@pytest.mark.reliability("runs begun again", "a model whose code or attribute was edited", "told apart, and by what")
@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("x * 2", "x * 3", "code"),
        ("gain = 3", "gain = 2", "code"),
        ("x - 4", "x - 3", "code"),
        ("scale, self.steps, self.f = 5", "scale, self.steps, self.f = 4", "attributes"),
        ("[6, 7]", "[7, 6]", "attributes"),
        ("x + 8", "x + 9", "attributes"),
        ("* 9", "* 8", "weights"),
        ("hidden = [nn.Linear(2, 2)]", "hidden = [nn.Linear(2, 3)]", "attributes"),
        ("super().forward(self.f", "super().forward(-self.f", "code"),
    ],
)
def test_what_changes_a_model_shows(old, new, what):
    assert old in NET
    before = fingerprint_model(made())
    assert fingerprint_model(made()) == before
    assert what in differing(fingerprint_model(made(NET.replace(old, new))), before) <= {what, "code"}


def test_what_changes_no_model_does_not_show():
    before = fingerprint_model(made())
    for change in (
        lambda model: model.train(),
        lambda model: model.eval(),
        lambda model: model.requires_grad_(False),
        lambda model: model(torch.ones(1, 2)).sum().backward(),
        lambda model: torch.compile(model, backend="eager"),
        copy.deepcopy,
    ):
        model = made()
        changed = change(model)
        assert fingerprint_model(changed if isinstance(changed, nn.Module) else model) == before
    assert differing(fingerprint_model(made().double()), before) == {"weights"}


@pytest.mark.reliability("runs begun again", "a hook or another forward put on a model", "told apart")
def test_what_is_put_on_a_model_shows():
    def fingerprint(change):
        model = made()
        change(model)
        return str(fingerprint_model(model))

    changes = [
        lambda model: None,
        lambda model: model.register_forward_hook(lambda module, x, y: y * 2),
        lambda model: model.register_forward_hook(lambda module, x, y: y * 3),
        lambda model: model.linear.register_forward_pre_hook(lambda module, x: None),
        lambda model: setattr(model, "forward", lambda x: x),
        lambda model: setattr(model.linear, "forward", lambda x: x),
        lambda model: nn.utils.parametrizations.weight_norm(model.linear),
        lambda model: setattr(type(model), "forward", lambda self, x: x),
        lambda model: model.hidden[0].weight.data.add_(1),
        lambda model: model.linear.weight.data.add_(1),
    ]
    found = [[fingerprint(change) for change in changes] for _ in range(2)]
    assert found[0] == found[1]
    assert len(set(found[0])) == len(changes)


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*spectral_norm:FutureWarning")
def test_what_a_forward_makes_anew_does_not_show(norm):
    torch.manual_seed(0)
    model = nn.Sequential(norm(nn.Linear(2, 2))).eval()
    before = fingerprint_model(model)
    model(torch.ones(1, 2))
    assert fingerprint_model(model) == before


def test_arguments_that_no_module_says_show():
    def attention(heads):
        torch.manual_seed(0)
        return nn.MultiheadAttention(4, heads)

    assert differing(fingerprint_model(attention(2)), fingerprint_model(attention(1))) == {"attributes"}


class Scaled(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.k, self.linear = k, nn.Linear(2, 2)

    def forward(self, x):
        return self.linear(x) * self.k


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "how",
    [torch.jit.script, lambda model: torch.jit.trace(model, torch.zeros(1, 2)), torch.fx.symbolic_trace, nn.Sequential],
)
def test_models_that_were_made_of_others(how):
    def fingerprint(k):
        torch.manual_seed(0)
        return fingerprint_model(how(Scaled(k)))

    assert fingerprint(2.0) == fingerprint(2.0)
    assert fingerprint(2.0) != fingerprint(3.0)


class Lit(L.LightningModule):
    step = 1

    def __init__(self, n=1):
        super().__init__()
        self.save_hyperparameters()
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        return self.linear(x) * self.hparams.n

    def training_step(self, batch, batch_idx):
        return self(batch).sum()

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(2, 2))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def test_a_lightning_module_is_the_same_after_its_training(tmp_path):
    torch.manual_seed(0)
    model = Lit()
    before = fingerprint_model(model)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    L.Trainer(max_epochs=1, enable_checkpointing=False, default_root_dir=tmp_path, **quiet).fit(model)
    assert fingerprint_model(model) == before
    torch.manual_seed(0)
    assert differing(fingerprint_model(Lit(2)), before) == {"attributes"}


@pytest.mark.reliability("runs begun again", "a model that holds an open file", "refused by name, with a way out")
def test_attributes_that_cannot_be_described_are_refused():
    model = made()
    model.rows = (n for n in range(3))
    with pytest.raises(
        InputError, match=r"attribute 'rows' of Net in the model is a generator, and there is no telling"
    ):
        fingerprint_model(model)
    named = fingerprint_model(model, identity="net, version 2")
    assert named["identity"] == "net, version 2"
    assert not {"code", "attributes", "hooks"} & named.keys()
    assert differing(named, fingerprint_model(made(), identity="net, version 2")) == set()
