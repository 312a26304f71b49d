"""Count how often the CPU waits for a device, and what is copied, for a block of a sequence and its references.

Usage: ``python benchmarks/count_waits.py [before|after]``, on the pretend device of the tests. For `before`, put the
package of commit 15fb076 on PYTHONPATH. The counts of some sequences are taken from those of twice as many, so what a
call does once does not count.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import describe_machine, make_parser, read_results, write_results
from torch import nn

import seqlight as sl

sys.path.append(str(Path(__file__).parents[1] / "tests" / "fixtures"))
import pretend_device
from pretend_device import trainers

NAME = "waits"
FEW, LENGTH, REFERENCES = 8, 64, 20

Call = Callable[[nn.Module, torch.Tensor], Any]


class Transformer(nn.Module):
    """Convolution, gelu, layer norm, attention and softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv1d(4, 16, 9, stride=2), nn.LayerNorm(16)
        self.mix, self.head = nn.Linear(16, 48), nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return a number for each sequence."""
        h = self.norm(nn.functional.gelu(self.stem(x)).mT)
        q, k, v = self.mix(h).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        h = h + nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.head((h * h.softmax(1)).sum(1))


def cnn() -> nn.Module:
    """Convolutions, relu and max pooling."""
    layers = [nn.Conv1d(4, 16, 9), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(16, 16, 3), nn.ReLU(), nn.MaxPool1d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(96, 1))


def run(model: nn.Module, X: torch.Tensor, kind: str) -> None:
    """Run a module of Lightning, a sequence in a batch."""
    from lightning.pytorch.strategies import SingleDeviceStrategy

    import seqlight.lit

    where = {"accelerator": "pretend", "strategy": SingleDeviceStrategy("pretend:0"), "devices": 1}
    with tempfile.TemporaryDirectory() as out:
        sl.run(getattr(seqlight.lit, kind)(model), X, out=out, batch_size=1, workers=0, progress=False, **where)


def peer(model: nn.Module, X: torch.Tensor) -> None:
    """Explain with tangermeme."""
    from tangermeme.deep_lift_shap import deep_lift_shap

    references = sl.dinucleotide_shuffle(X, n=REFERENCES, random_state=0).float()
    deep_lift_shap(
        model, X.float(), references=references, device="pretend", batch_size=REFERENCES, warning_threshold=1e9
    )


DRAWN: dict[str, Any] = {"n_shuffles": REFERENCES, "random_state": 0, "batch_size": REFERENCES, "device": "pretend"}
AUTO = DRAWN | {"n_shuffles": "auto", "max_shuffles": 10, "tolerance": 1e-9, "batch_size": 10}
MUTANTS = {"target": 0, "batch_size": 3 * LENGTH, "device": "pretend"}
CALLS: dict[str, Call] = {
    "deep_lift_shap": lambda model, X: sl.deep_lift_shap(model, X, **DRAWN),
    "attribute": lambda model, X: sl.attribute(model, X, **DRAWN),
    'attribute, n_shuffles="auto", a step': lambda model, X: sl.attribute(model, X, **AUTO),
    "run of DeepLiftShapModule": lambda model, X: run(model, X, "DeepLiftShapModule"),
    "run of PredictModule": lambda model, X: run(model, X, "PredictModule"),
    "predict": lambda model, X: sl.predict(model, X, batch_size=1, device="pretend"),
    "saturation_mutagenesis": lambda model, X: sl.saturation_mutagenesis(model, X, **MUTANTS),
    "input_x_gradient": lambda model, X: sl.input_x_gradient(model, X, batch_size=1, device="pretend"),
    "tangermeme's deep_lift_shap": peer,
}


def count_block(call: Call, model: nn.Module) -> dict[str, Any]:
    """Return the counts of a block."""
    X = sl.random_one_hot((2 * FEW, 4, LENGTH), random_state=0)
    call(model, X[:1])  # a run digests the weights of a model once
    found = []
    for rows in (FEW, 2 * FEW):
        with pretend_device.counted() as counts:
            call(model, X[:rows])
        found.append(counts)
    few, many = found
    what = {
        "waits": lambda one: one.waits,
        "copies_to_host": lambda one: one.copies_to_host,
        "copies_to_device": lambda one: one.copies_to_device,
    }
    return {name: (count(many) - count(few)) / FEW for name, count in what.items()}


def main(state: str) -> None:
    """Write the counts as those of the state `state`, beside those counted before."""
    pretend_device.load()
    trainers.register()
    models: dict[str, Any] = {}
    for name, make in {"cnn": cnn, "transformer": Transformer}.items():
        torch.manual_seed(0)
        model = make().eval().to("pretend")
        models[name] = {}
        for what, call in CALLS.items():
            with pretend_device.switched(available=True):
                models[name][what] = count_block(call, model)
            print(f"{name}, {what}: {models[name][what]}", flush=True)
    try:
        known = read_results(NAME)
    except FileNotFoundError:
        known = {}
    known.pop("machine", None)
    known["workload"] = {"references": REFERENCES, "positions": LENGTH, "sequences": [FEW, 2 * FEW]}
    print(write_results(NAME, {**known, state: models}, describe_machine()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parser = make_parser(__doc__)
    parser.add_argument("state", nargs="?", choices=("before", "after"), default="after", help="by default, after")
    main(parser.parse_args().state)
