"""Ask on made-up genotypes whether saliency finds more than DeepLIFT does, and why."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from decoy_counting import find, recall
from spike_in_genotypes import VARIANTS, draw_genotypes
from torch import Tensor, nn

import seqlight as sl
from seqlight.studies.suites.small_networks import train_network

TRAINING, TEST, EXPLAINED, EPOCHS = 4000, 2000, 500, 10
COPIES, STEPS, NOISE, RATE, RARE = 10, 20, 0.15, 0.1, 0.1
SALIENCY, ZEROS, OTHERS, MULTIPLIERS = (
    "saliency",
    "DeepLIFT, zeros",
    "DeepLIFT, another individual",
    "multipliers, zeros",
)


def make_network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(2 * VARIANTS, 64),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 1),
    )


def explain(model: nn.Module, X: Tensor, others: Tensor, mean: Tensor) -> dict[str, Tensor]:
    """Return attributions by name, shape (individuals, variants)."""
    from captum.attr import DeepLift, IntegratedGradients, NoiseTunnel, Saliency

    zeros, means = torch.zeros_like(X), mean.expand_as(X).contiguous()
    smooth = NoiseTunnel(Saliency(model))
    found = {
        "saliency": Saliency(model).attribute(X.clone().requires_grad_(), target=0),
        f"saliency + SmoothGrad {NOISE}": smooth.attribute(X, nt_samples=COPIES, stdevs=NOISE, target=0),
        "DeepLIFT, zeros": sl.DeepLift(model).attribute(X, zeros, target=0),
        "DeepLIFT of Captum, zeros": DeepLift(model).attribute(X, zeros, target=0),
        "integrated gradients, zeros": IntegratedGradients(model).attribute(X, zeros, target=0, n_steps=STEPS),
        "multipliers, zeros": sl.DeepLift(model, multiply_by_inputs=False).attribute(X, zeros, target=0),
        "DeepLIFT, mean genotype": sl.DeepLift(model).attribute(X, means, target=0),
        "DeepLIFT, another individual": sl.DeepLift(model).attribute(X, others, target=0),
    }
    return {name: one.detach() for name, one in found.items()}


def study_genotypes(equal: str, seed: int) -> list[dict[str, Any]]:
    """Train a network on genotypes and return a row for each method; a variant's score is its mean magnitude."""
    data = draw_genotypes(TRAINING + TEST, seed, equal)
    X, y = data.X[:TRAINING], data.y[:TRAINING]
    model = train_network(make_network, X, y, seed, epochs=EPOCHS, rate=2e-3, loss=nn.functional.mse_loss)
    test, trait = data.X[TRAINING:], data.y[TRAINING:]
    with torch.no_grad():
        explained = 1 - float((model(test)[:, 0] - trait).square().mean() / trait.var())
    others = X[torch.randperm(len(X), generator=torch.Generator().manual_seed(seed))[:EXPLAINED]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tracks = explain(model, test[:EXPLAINED], others, X.mean(dim=0))
    matters, rare = data.effects != 0, data.frequencies < RARE
    is_decoy = torch.arange(2 * VARIANTS).numpy() >= VARIANTS
    rows = []
    for name, track in tracks.items():
        scores = track.abs().double().mean(dim=0).numpy()
        found = find(scores, is_decoy, matters, RATE)
        one = {"equal": equal, "seed": seed, "explained": explained, "method": name, "recall": recall(scores, matters)}
        one |= {"power": found.power, "false": found.false}
        one |= {"rare": float(found.chosen[matters & rare].mean())}
        rows.append(one | {"common": float(found.chosen[matters & ~rare].mean())})
    return rows


def genotypes_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row for each method, means and ranges over networks."""
    frame, shown = pd.DataFrame(rows), []
    for method in dict.fromkeys(frame["method"]):
        one = {"": method}
        for equal, title in (("variance", "equal parts of variance"), ("effect", "equal effects of a copy")):
            mine = frame[(frame["method"] == method) & (frame["equal"] == equal)]
            power = mine["power"]
            one[f"power, {title}"] = f"{power.mean():.2f} ({power.min():.2f} to {power.max():.2f})"
            one |= {f"{kind}, {title}": f"{mine[kind].mean():.2f}" for kind in ("rare", "common")}
        shown.append(one)
    return pd.DataFrame(shown)
