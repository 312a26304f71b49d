"""Time ``seqlight.predict`` beside a loop written by hand under torch.inference_mode.

Usage: ``python benchmarks/speed_predict.py [rounds]``. The model is a small CNN, the workload
4,096 sequences of 500 characters in batches of 64.
"""

from __future__ import annotations

import torch
from harness import count_argument, describe_machine, time_in_turn, write_results
from torch import Tensor, nn

import seqlight as sl

ROWS, LENGTH, BATCH, THREADS = 4096, 500, 64, 2


def small_cnn() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(4, 32, 15, padding=7),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(32, 32, 7, padding=3),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 3),
    )


def predict_by_hand(model: nn.Module, X: Tensor) -> Tensor:
    """Return the predictions of a careful user's loop: evaluation mode, a batch at a time, joined at the end."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(batch.float()) for batch in X.split(BATCH)])


def main(rounds: int) -> None:
    torch.set_num_threads(THREADS)
    machine = describe_machine()
    table = {}
    model = small_cnn()
    for name, dtype in {"float32 input": torch.float32, "int8 input": torch.int8}.items():
        X = sl.random_one_hot((ROWS, 4, LENGTH), random_state=0, dtype=dtype)
        calls = {
            "by hand": lambda X=X: predict_by_hand(model, X),
            "seqlight": lambda X=X: sl.predict(model, X, batch_size=BATCH, device="cpu"),
        }
        if not torch.equal(calls["by hand"](), calls["seqlight"]()):
            raise AssertionError("the predictions differ")
        timings = time_in_turn(calls, rounds)
        hand, ours = timings["by hand"], timings["seqlight"]
        table[name] = {
            "by_hand_s": hand._asdict(),
            "seqlight_s": ours._asdict(),
            "overhead": {name: ratio - 1 for name, ratio in ours.ratio(hand).items()},
        }
        print(f"{name}: {100 * table[name]['overhead']['least']:+.1f} % (by hand {hand.least:.3f} s)")
    workload = {"sequences": ROWS, "length": LENGTH, "batch_size": BATCH, "rounds": rounds}
    print(write_results("speed_predict", {"workload": workload, "inputs": table}, machine))


if __name__ == "__main__":
    main(count_argument(15))
