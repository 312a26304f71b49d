"""The methods of the replication, by name, and what knocking out a site does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from spike_ins import LENGTH, ROW, START, WIDTH, SpikeIns
from torch import Tensor, nn

import seqlight as sl

REFERENCES, COPIES, SALIENCY_COPIES, STEPS, KNOCKOUTS = 4, 10, 25, 20, 10
NOISES, NOISE = (0.05, 0.15, 0.5, 1.0), 0.15
SMOOTH, OURS, CAPTUM = f"saliency + SmoothGrad {NOISE}", "DeepLIFT, seqlight", "DeepLIFT, Captum"
Method = Callable[[], Tensor]


def make_methods(model: nn.Module, X: Tensor, seed: int) -> dict[str, Method]:
    """Return functions to contributions, shape (rows, positions)."""
    from captum.attr import DeepLift, GradientShap, IntegratedGradients, NoiseTunnel, Saliency

    inputs, zeros = X.float(), torch.zeros(len(X), 1, *X.shape[1:])
    references = sl.dinucleotide_shuffle(X, n=REFERENCES, random_state=seed).float()

    def at_letters(found: Tensor) -> Tensor:
        return (found.detach() * inputs).sum(dim=1)

    def over_references(explainer: Any, baselines: Tensor, **options: Any) -> Tensor:
        """Return the mean over references, of a method that takes one for each row."""
        each = [explainer.attribute(inputs, baselines=one, target=0, **options).detach() for one in baselines.unbind(1)]
        return torch.stack(each).mean(dim=0).sum(dim=1)

    def gradient_shap(stdevs: float) -> Tensor:
        each = [
            GradientShap(model).attribute(x[None], some, n_samples=STEPS, stdevs=stdevs, target=0)
            for x, some in zip(inputs, references, strict=True)
        ]
        return torch.cat(each).detach().sum(dim=1)

    def smooth_saliency(noise: float) -> Tensor:
        options = {"nt_samples": SALIENCY_COPIES, "nt_samples_batch_size": 5, "stdevs": noise, "target": 0}
        return NoiseTunnel(Saliency(model)).attribute(inputs, **options).detach()

    noisy = {"nt_samples": COPIES, "nt_samples_batch_size": 5, "stdevs": NOISE}
    ours = sl.DeepLift(model)
    return {
        "chance": lambda: torch.randn(len(X), LENGTH),
        "saliency": lambda: at_letters(Saliency(model).attribute(inputs.clone().requires_grad_(), target=0)),
        **{
            f"saliency + SmoothGrad {noise}": lambda noise=noise: at_letters(smooth_saliency(noise)) for noise in NOISES
        },
        f"{SMOOTH}, all letters": lambda: smooth_saliency(NOISE).sum(dim=1),
        "input x gradient": lambda: sl.input_x_gradient(model, X, device="cpu").attributions.sum(dim=1),
        "Gradient SHAP": lambda: gradient_shap(0.0),
        "Gradient SHAP + noise": lambda: gradient_shap(NOISE),
        "integrated gradients": lambda: over_references(IntegratedGradients(model), references, n_steps=STEPS),
        "integrated gradients, zeros": lambda: over_references(IntegratedGradients(model), zeros, n_steps=STEPS),
        CAPTUM: lambda: over_references(DeepLift(model), references),
        f"{CAPTUM}, zeros": lambda: over_references(DeepLift(model), zeros),
        f"{CAPTUM} + SmoothGrad": lambda: over_references(NoiseTunnel(DeepLift(model)), references, **noisy),
        OURS: lambda: over_references(ours, references),
        f"{OURS}, zeros": lambda: over_references(ours, zeros),
        f"{OURS} + SmoothGrad": lambda: over_references(NoiseTunnel(ours), references, **noisy),
    }


def knockout(model: nn.Module, data: SpikeIns, seed: int) -> NDArray[np.float64]:
    """Return by how much the output changes if a site gets random letters, in the mean over some draws; by site."""
    stream = torch.Generator().manual_seed(seed)
    X, rows = data.X.float(), torch.from_numpy(data.sites[:, ROW])
    with torch.no_grad():
        before, change = model(X)[rows, 0], torch.zeros(len(rows))
        for _ in range(KNOCKOUTS):
            changed = X[rows]
            letters = torch.randint(4, (len(rows), WIDTH), generator=stream)
            columns = torch.from_numpy(data.sites[:, START])[:, None] + torch.arange(WIDTH)
            drawn = nn.functional.one_hot(letters, 4).float()
            changed[torch.arange(len(rows))[:, None], :, columns] = drawn
            change += (model(changed)[:, 0] - before) / KNOCKOUTS
    return change.abs().double().numpy()
