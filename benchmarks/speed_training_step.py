"""Time a training step with an attribution prior, beside a plain one and one with a prior on saliency.

Usage: ``python benchmarks/speed_training_step.py [rounds]``. A step is forward, loss, backward and AdamW, in float32.
"prior" adds ``seqlight.lit.AttributionPrior`` with the Fourier prior and one shuffled reference for each sequence:
attributions in the graph, and the backward pass through them, with a record of the forward pass of the loss, as
TrainModule has it. "apart" has none: all is computed that the prior needs. "saliency" puts the same penalty on gradient
times input, a bound from below for whatever differentiates attributions.
Writes results/speed_training_step.json and the numbers in docs/attribution_priors.md; ``--page`` only writes the page.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from harness import count_argument, describe_machine, read_results, time_in_turn, write_results
from networks import DanQ, Recurrent, Transformer, basset_like, bpnet_like
from pages import update_page
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import binary_cross_entropy_with_logits

from seqlight import random_one_hot
from seqlight.lit import AttributionPrior, ForwardRecord
from seqlight.lit.penalties import Fourier

# Rows and positions.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "basset-like": (basset_like, 16, 600),
    "bpnet-like": (bpnet_like, 8, 1000),
    "transformer": (Transformer, 16, 600),
    "DanQ-like": (DanQ, 16, 1000),
    "small LSTM": (Recurrent, 16, 600),
}
THREADS = 1
SHOWN = {
    "prior": "with a prior",
    "apart": "without a record",
    "saliency": "with a prior on gradient times input",
}


def loss_of(model: nn.Module, X: Tensor, y: Tensor) -> Tensor:
    """Return the loss of a batch whose first output is trained."""
    return binary_cross_entropy_with_logits(model(X)[:, 0], y)


def with_prior(model: nn.Module, X: Tensor, y: Tensor, prior: AttributionPrior) -> Tensor:
    """Return the same, with a prior."""
    with ForwardRecord(model) as record:
        loss = loss_of(model, X, y)
    return loss + prior(model, X, record)


def with_saliency(model: nn.Module, X: Tensor, y: Tensor, penalty: Fourier) -> Tensor:
    """Return the same, and a penalty on gradient times input."""
    leaf = X.clone().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):  # of the fused attention of a CPU, PyTorch knows no second derivative
        outputs = model(leaf)[:, 0]
    (slopes,) = torch.autograd.grad(outputs.sum(), leaf, create_graph=True)
    return binary_cross_entropy_with_logits(outputs, y) + penalty(slopes * X, X).mean()


def compare(make: Callable[[], nn.Module], rows: int, positions: int, rounds: int) -> dict[str, Any]:
    """Time the four steps of a network in turn."""
    torch.manual_seed(0)
    model, penalty = make().train(), Fourier()
    X, y = random_one_hot((rows, 4, positions), random_state=0).float(), torch.rand(rows).round()
    prior, optimizer = AttributionPrior(penalty), torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step(loss: Callable[[], Tensor]) -> Callable[[], None]:
        def take() -> None:
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

        return take

    steps = {
        "plain": step(lambda: loss_of(model, X, y)),
        "prior": step(lambda: with_prior(model, X, y, prior)),
        "apart": step(lambda: loss_of(model, X, y) + prior(model, X)),
        "saliency": step(lambda: with_saliency(model, X, y, penalty)),
    }
    timings = time_in_turn(steps, rounds, time.process_time)
    return {
        "shape": list(X.shape),
        "seconds": {name: one._asdict() for name, one in timings.items()},
        "over_plain": {name: timings[name].ratio(timings["plain"]) for name in [*steps][1:]},
    }


def table(results: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    head = ("network", "sequences", "plain step, ms", *SHOWN.values())
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, one in results["networks"].items():
        rows, _, positions = one["shape"]
        cells = [name, f"{rows} of {positions:,} positions", f"{1000 * one['seconds']['plain']['least']:.0f}"]
        cells += [f"{one['over_plain'][kind]['least']:.1f}" for kind in SHOWN]
        lines.append(f"| {' | '.join(cells)} |")
    threads, cpu = results["machine"]["torch_threads"], results["machine"]["cpu"]
    note = (
        f"Times of a plain step in processor time, least of {results['rounds']} rounds in turn, {threads} thread "
        f"({cpu}). A prior on gradient times input, whose multipliers are plain gradients, is a bound from below."
    )
    return "\n".join([*lines, "", note]) + "\n"


def main(rounds: int) -> None:
    """Time all networks, and write what was found."""
    torch.set_num_threads(THREADS)
    machine, found = describe_machine(), {}
    for name, (make, rows, positions) in NETWORKS.items():
        found[name] = compare(make, rows, positions, rounds)
        ratios = {kind: round(one["least"], 2) for kind, one in found[name]["over_plain"].items()}
        print(name, ratios, round(found[name]["seconds"]["plain"]["least"], 3), flush=True)
    print(write_results("speed_training_step", {"rounds": rounds, "networks": found}, machine))


if __name__ == "__main__":
    if "--page" not in sys.argv:
        main(count_argument(9))
    update_page("attribution_priors", table(read_results("speed_training_step")))
