"""Networks with the sequences and references that they are explained with, and the least that an explanation costs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from networks import BothStrands, Recurrent, Transformer, basset_like, bpnet_like, mixed
from torch import Tensor, nn

import seqlight as sl
from gpu_sections.bench import Bench

REFERENCES = 20
# Those whose speed is measured; the others are only compared with the CPU.
TIMED = ("bpnet-like", "basset-like", "transformer")
Maker = Callable[[], nn.Module]
FULL: dict[str, tuple[Maker, int]] = {
    "bpnet-like": (bpnet_like, 2114),
    "basset-like": (basset_like, 600),
    "transformer": (Transformer, 1024),
    "mixed": (mixed, 200),
    "recurrent": (Recurrent, 200),
    "both strands": (BothStrands, 200),
}
SMALL: dict[str, tuple[Maker, int]] = {
    **FULL,
    "bpnet-like": (lambda: bpnet_like(8), 256),
    "basset-like": (lambda: basset_like(256, 0.1), 256),
    "transformer": (Transformer, 128),
    "recurrent": (Recurrent, 80),
}


def make_workload(bench: Bench, name: str, rows: int, kaiming: bool = False) -> tuple[nn.Module, Tensor]:
    """Return a frozen network on the CPU and one-hot sequences for it, the same in every process.

    With `kaiming`, the weights are large enough for its outputs to differ between sequences, as in a trained network.
    """
    torch.manual_seed(0)
    make, length = (SMALL if bench.small else FULL)[name]
    model = make().eval().requires_grad_(False)
    if kaiming:
        for module in model.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
    return model, sl.random_one_hot((rows, 4, length), random_state=0)


def draw_references(X: Tensor, n: int = REFERENCES) -> Tensor:
    """Return `n` shuffles of each sequence."""
    return sl.dinucleotide_shuffle(X, n=n, random_state=0)


def floor(bench: Bench, model: nn.Module, X: Tensor, references: Tensor, at_once: int) -> Tensor:
    """Return the mean gradients of plain autograd at the references, which no method of two passes can undercut.

    One forward pass of each sequence, and one forward and one input-backward pass of each reference, `at_once`
    sequences at a time; sequences come from the CPU and results return there.
    """
    found = []
    for x, r in zip(X.split(at_once), references.split(at_once), strict=True):
        with torch.no_grad():
            model(x.to(bench.device).float())
        leaf = r.to(bench.device).float().flatten(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)
        found.append(gradient.unflatten(0, r.shape[:2]).mean(1).cpu())
    return torch.cat(found)
