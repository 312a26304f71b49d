"""Whole models as people in the field write them, and the places they call us from."""

from functools import partial

import lightning.pytorch as L
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import seqlight as sl
from seqlight.errors import UnsupportedOperation

X = sl.random_one_hot((3, 4, 24), random_state=1)


def trunk(channels=8):
    return nn.Sequential(nn.Conv1d(4, channels, 7, padding=3), nn.BatchNorm1d(channels), nn.GELU())


class StrandAveraged(nn.Module):
    """The mean of both strands, which share their weights."""

    def __init__(self):
        super().__init__()
        self.trunk, self.head = trunk(), nn.Linear(8, 2)

    def one(self, x):
        return self.head(self.trunk(x).amax(-1))

    def forward(self, x):
        return (self.one(x) + self.one(x.flip(1, 2))) / 2


class StrandsInOneBatch(StrandAveraged):
    """Both strands go through as one batch, twice as large."""

    def forward(self, x):
        return torch.stack(self.one(torch.cat([x, x.flip(1, 2)])).chunk(2)).mean(0)


class AttentionPooled(nn.Module):
    """Pooling as in Enformer: each window is a mean weighted by a softmax over its own positions."""

    def __init__(self):
        super().__init__()
        self.trunk, self.weigh, self.head = trunk(), nn.Conv2d(8, 8, 1, bias=False), nn.Linear(8 * 12, 2)

    def forward(self, x):
        h = self.trunk(x).unflatten(-1, (-1, 2))
        pooled = (h * self.weigh(h).softmax(dim=-1)).sum(dim=-1)
        return F.softplus(self.head(pooled.flatten(1)))


class ProfileAndCounts(nn.Module):
    """Two heads, as in BPNet."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv1d(4, 8, 7, padding=3)
        self.body = nn.ModuleList([nn.Conv1d(8, 8, 3, padding=2**i, dilation=2**i) for i in range(3)])
        self.profile, self.counts = nn.Conv1d(8, 1, 5, padding=2), nn.Linear(8, 1)

    def forward(self, x):
        h = F.relu(self.stem(x))
        for layer in self.body:
            h = h + F.relu(layer(h))
        return self.profile(h).squeeze(1), self.counts(h.mean(-1))


def profile_score(outputs, stop=True):
    """The mean-normalised logits, weighted by their own softmax, as chrombpnet explains profiles."""
    logits = outputs[0] - outputs[0].mean(-1, keepdim=True)
    weights = logits.softmax(-1)
    return (logits * (weights.detach() if stop else weights)).sum(-1)


class BilinearTowers(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.both = trunk(5), trunk(6), nn.Bilinear(5, 6, 2)

    def forward(self, x):
        return self.both(self.left(x).mean(-1), self.right(x.flip(2)).amax(-1))


class Transformer(nn.Module):
    """Rotary positions, pre-norm blocks, a class token."""

    def __init__(self):
        super().__init__()
        self.embed, self.token = nn.Conv1d(4, 8, 3, stride=2), nn.Parameter(torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=True, activation="gelu", batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 2)

    def forward(self, x):
        h = self.embed(x).mT
        angle = torch.arange(h.shape[1], device=h.device, dtype=h.dtype).unsqueeze(-1) / 10
        a, b = h.chunk(2, dim=-1)
        h = torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=-1)
        return self.head(self.encoder(torch.cat([self.token.expand(len(h), -1, -1), h], dim=1))[:, 0])


class StoredInBytes(nn.Module):
    """Weights of eight bits, made numbers again in each forward."""

    def __init__(self):
        super().__init__()
        weight = torch.randn(8, 4, 5)
        self.scale = float(weight.abs().max() / 127)
        self.register_buffer("weight", (weight / self.scale).round().to(torch.int8))
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(F.conv1d(x, self.weight.to(x.dtype) * self.scale).relu().mean(-1))


@pytest.mark.parametrize(
    "kind", [StrandAveraged, StrandsInOneBatch, AttentionPooled, BilinearTowers, Transformer, StoredInBytes]
)
def test_models_of_the_field_are_complete(kind, incompleteness):
    torch.manual_seed(0)
    assert incompleteness(kind().double(), X) < 1e-9


@pytest.mark.parametrize("scale", [1.0, 1e-7])
@pytest.mark.parametrize(("n", "batch_size"), [(3, 32), (15, 32), (20, 7), (20, 19), (20, 32), (5, 100), (4, 3)])
def test_strands_in_one_batch_find_their_partners(n, batch_size, scale):
    torch.manual_seed(0)
    together, apart = StrandsInOneBatch().double(), StrandAveraged().double()
    apart.load_state_dict(together.state_dict())
    settings = {"n_shuffles": n, "random_state": 0, "device": "cpu", "target": lambda y: scale * y[:, 0]}
    found = sl.attribute(together, X, batch_size=batch_size, **settings)
    wanted = sl.attribute(apart, X, **settings)
    assert found.relative_deltas.max() < 1e-9
    torch.testing.assert_close(found.attributions, wanted.attributions, rtol=1e-7, atol=1e-12 * scale)


def test_models_that_squeeze_their_output():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv1d(4, 3, 5), nn.Tanh(), nn.Flatten(), nn.Linear(60, 1)).double()

    class Squeezing(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = plain

        def forward(self, x):
            return self.plain(x).squeeze()

    settings = {"random_state": 0, "n_shuffles": 5, "device": "cpu"}
    assert torch.equal(sl.deep_lift_shap(Squeezing(), X, **settings), sl.deep_lift_shap(plain, X, **settings))
    assert sl.audit(Squeezing(), X).complete


class Mixing(nn.Module):
    """What it makes of a row depends on the others."""

    def __init__(self, how):
        super().__init__()
        self.how, self.linear = how, nn.Linear(96, 2)

    def forward(self, x):
        y = torch.tanh(self.linear(x.flatten(1)))
        return {"softmax": y.softmax(0), "mean": y - y.mean(0), "noise": y + torch.randn_like(y)}[self.how]


@pytest.mark.parametrize("batch_size", [2, 20, 64])
@pytest.mark.parametrize("how", ["softmax", "mean", "noise"])
def test_models_that_mix_rows_are_refused(how, batch_size):
    torch.manual_seed(0)
    with pytest.raises(UnsupportedOperation, match=r"mixes? the rows"):
        sl.deep_lift_shap(Mixing(how), X, random_state=0, device="cpu", batch_size=batch_size)


def test_heads_of_profile_and_counts():
    torch.manual_seed(0)
    model = ProfileAndCounts().double().eval()
    found = sl.attribute(
        model, X, target=[lambda y: y[1][:, 0], lambda y: y[0].logsumexp(-1)], random_state=0, device="cpu"
    )
    assert found.relative_deltas.max() < 1e-9
    # Weights whose gradient is stopped depend on the sequence all the same: they are explained, too.
    stopped, whole = (
        sl.attribute(model, X, target=partial(profile_score, stop=one), random_state=0, device="cpu")
        for one in (True, False)
    )
    assert stopped.relative_deltas.max() < 1e-9
    torch.testing.assert_close(stopped.attributions, whole.attributions, rtol=1e-9, atol=1e-12)


class Watched(L.LightningModule):
    """Explains itself in its own steps, as an impatient user would."""

    def __init__(self):
        super().__init__()
        self.net, self.found = nn.Sequential(trunk(), nn.Flatten(), nn.Linear(8 * 24, 2)), {}

    def forward(self, x):
        return self.net(x)

    def explain(self, where, batch):
        self.found[where] = sl.deep_lift_shap(self, batch, random_state=0, n_shuffles=4, device="cpu")

    def validation_step(self, batch, i):
        self.explain("validate", batch)

    def test_step(self, batch, i):
        self.explain("test", batch)

    def predict_step(self, batch, i):
        self.explain("predict", batch)
        return batch


@pytest.mark.parametrize("inference_mode", [True, False])
def test_inside_the_steps_of_a_trainer(tmp_path, inference_mode):
    torch.manual_seed(0)
    model, loader = Watched(), DataLoader(X, batch_size=3)
    trainer = L.Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu", default_root_dir=tmp_path, inference_mode=inference_mode,
    )  # fmt: skip
    for where in ("validate", "test", "predict"):
        getattr(trainer, where)(model, loader)
    wanted = sl.deep_lift_shap(model, X, random_state=0, n_shuffles=4, device="cpu")
    assert set(model.found) == {"validate", "test", "predict"}
    for found in model.found.values():
        torch.testing.assert_close(found, wanted)
