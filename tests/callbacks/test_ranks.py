"""One process and two; run as a script, this file is the trainings in two processes.

Not by pytest itself, for forks must come before PyTorch starts threads for gradients.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as L
import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.lit.collectives import run_on_all_ranks, run_on_first_rank, split_among_ranks
from seqlight.lit.training import TrainModule
from seqlight_callbacks import (
    AttributionCallback,
    AttributionReport,
    LogoCallback,
    RandomizationCallback,
    SeqletCallback,
)
from seqlight_callbacks.history import History
from seqlight_callbacks.records import load_record


class Failing(TrainModule):
    """Fails on the second process, as soon as it is attributed."""

    def forward(self, X):
        # Only attribution and prediction freeze the parameters.
        if self.trainer.global_rank == 1 and not self.model[0].weight.requires_grad:
            raise RuntimeError("only here")
        return super().forward(X)


class FailingLater(Failing):
    """Fails in the middle of the training, and not before the first step."""

    def forward(self, X):
        return super().forward(X) if self.trainer.global_step else TrainModule.forward(self, X)


class ResultWriter(L.Callback):
    """Writes what this process ends with."""

    def __init__(self, out, attribution):
        self.out, self.attribution = out, attribution

    def on_train_end(self, trainer, pl_module):
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items() if "/" in key}
        record = self.attribution.record and vars(self.attribution.record)
        random = torch.get_rng_state()
        checks = [
            one.result.table.values.tolist() for one in trainer.callbacks if isinstance(one, RandomizationCallback)
        ]
        found = {"record": record, "metrics": metrics, "weights": pl_module.state_dict(), "random": random}
        found["checks"] = checks
        torch.save(found, self.out / f"rank-{trainer.global_rank}.pt")


class ErrorWriter(AttributionCallback):
    """Writes the error of this process to a file; Lightning calls on_exception only in the parent of the forks."""

    def on_train_start(self, trainer, pl_module):
        self.call_hook(trainer, super().on_train_start, pl_module)

    def on_validation_epoch_end(self, trainer, pl_module):
        self.call_hook(trainer, super().on_validation_epoch_end, pl_module)

    def call_hook(self, trainer, hook, pl_module):
        try:
            hook(trainer, pl_module)
        except Exception as error:
            mine, other = (self.out.parent / f"rank-{r}.txt" for r in (trainer.global_rank, 1 - trainer.global_rank))
            mine.write_text(str(error))
            # The launcher kills the other process when one has ended: wait until both have written their errors.
            deadline = time.monotonic() + 10
            while not other.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            raise


def fit(out: Path, n: int, processes: int, module=TrainModule, pictures=True, **settings) -> None:
    from toy_training import sequences

    attribution = ErrorWriter(sequences(n, seed=3), n_shuffles=3, out=out / "epochs", untrained=True, **settings)
    seqlets = SeqletCallback(threshold=0.3, out=out / "seqlets")
    mine = [attribution, seqlets, ResultWriter(out, attribution)]
    if pictures:
        mine += [LogoCallback(examples=(0,), end=8), AttributionReport(examples=(0,))]
    train(out, processes, mine, module, lambda parameters: torch.optim.SGD(parameters, lr=0.0))


def fit_and_be_killed(out: Path) -> None:
    """Train in a process that is killed while it writes its second record."""

    def half(file, **arrays):
        if arrays["epoch"] == 0:
            return write(file, **arrays)
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        write, np.savez_compressed = np.savez_compressed, half
        fit(out, 1, 1, pictures=False)
        os._exit(1)  # not reached
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def fit_for_weights(out: Path, on: str | None) -> None:
    """Train in two processes, with and without the callbacks."""
    from toy_training import sequences

    attribution = AttributionCallback(sequences(3, seed=3), n_shuffles=3, on=on or "test")
    check = RandomizationCallback(steps=2, n_draws=1, out=out / "layers.csv")
    mine = [] if on is None else [attribution, SeqletCallback(threshold=0.3), check]
    train(out, 2, [*mine, ResultWriter(out, attribution)], accumulate_grad_batches=2, val_check_interval=0.5)


def train(out, processes, callbacks, module=TrainModule, optimizer=None, **settings) -> None:
    from toy_training import data, network, trainer

    out.mkdir(parents=True)
    torch.manual_seed(1)
    strategy = "ddp_fork" if processes > 1 else "auto"
    settings |= {"max_epochs": 1, "devices": processes, "strategy": strategy}
    trainer(out, callbacks, **settings).fit(module(network(), optimizer=optimizer), data())


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, run_scripts):
    out = tmp_path_factory.mktemp("runs")
    run_scripts([__file__, out])
    return out


def close(a, b, exact):
    torch.testing.assert_close(a, b, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)


@pytest.mark.parametrize("n", [3, 1], ids=["3 sequences", "1 sequence"])
def test_two_processes_see_what_one_sees(runs, n):
    first, second = (torch.load(runs / f"two-{n}" / f"rank-{rank}.pt") for rank in (0, 1))
    assert first["metrics"] == second["metrics"]
    for key in ("attributions", "outputs", "reference_outputs"):
        close(first["record"][key], second["record"][key], exact=True)
    # Batch norm has other batches on two processes; before the first step the models are the same.
    one, two = (load_record(runs / f"{name}-{n}" / "epochs" / "epoch-000-step-00000000.npz") for name in ("one", "two"))
    assert two.attributions.shape == (n, 4, 20)
    close(one.attributions, two.attributions, exact=False)
    close(one.outputs, two.outputs, exact=False)
    close(one.reference_outputs, two.reference_outputs, exact=False)
    one = torch.load(runs / f"one-{n}" / "rank-0.pt")
    assert one["metrics"].keys() == first["metrics"].keys()


def test_one_process_draws(runs):
    names = [f"logos-epoch-{epoch:03d}-step-{3 * epoch:08d}.png" for epoch in (0, 1)]
    assert sorted(path.name for path in (runs / "two-3" / "figures").iterdir()) == names


def test_one_process_writes(runs):
    assert [path.name for path in (runs / "two-3").glob("*.html")] == ["report.html"]
    names = ["epoch-000-step-00000000.csv", "epoch-001-step-00000003.csv"]
    assert sorted(path.name for path in (runs / "two-3" / "seqlets").iterdir()) == names


@pytest.mark.parametrize("on", ["validation", "train"])
@pytest.mark.parametrize("rank", [0, 1])
def test_training_in_two_processes_is_unaffected(runs, on, rank):
    alone, watched = (torch.load(runs / f"weights-{one}" / f"rank-{rank}.pt") for one in ("None", on))
    assert alone["record"] is None
    assert watched["record"]["epoch"] == 1
    assert alone["weights"].keys() == watched["weights"].keys()
    assert all(torch.equal(alone["weights"][name], watched["weights"][name]) for name in alone["weights"])
    assert torch.equal(alone["random"], watched["random"])
    untrained = torch.load(runs / "untrained.pt")
    assert any(not torch.equal(untrained[name], alone["weights"][f"model.{name}"]) for name in untrained)


def test_the_check_at_the_end_is_the_same_on_all_processes(runs):
    first, second = (torch.load(runs / "weights-train" / f"rank-{rank}.pt")["checks"] for rank in (0, 1))
    assert first == second
    assert [row[0] for row in first[0]] == ["model.3", "model.0"]
    assert (runs / "weights-train" / "layers.csv").exists()


def test_an_error_on_one_process_ends_all_with_the_same_message(runs):
    messages = {(runs / "failing" / f"rank-{rank}.txt").read_text() for rank in (0, 1)}
    assert messages == {
        "process 1 of 2 failed, so all stop: InputError: ErrorWriter 'attribution' gives its `sequences` of shape "
        "(3, 4, 20) to Failing, as `module` is None: RuntimeError: only here; choose the `module` that takes such "
        "sequences, or pass `inputs`, a function that turns them into what it takes."
    }
    assert messages.pop() in (runs / "failing" / "parent.txt").read_text()
    assert float((runs / "seconds.txt").read_text()) < 30


@pytest.mark.reliability(
    "errors in the middle of a training",
    "an attribution fails on one process of two",
    "none waits for the other: both warn and go on, or with on_error='raise' both stop with the same message",
)
def test_in_the_middle_of_a_training_both_go_on_or_both_stop(runs):
    messages = {(runs / "stopped" / f"rank-{rank}.txt").read_text() for rank in (0, 1)}
    assert messages == {"process 1 of 2 failed, so all stop: RuntimeError: only here"}
    first, second = (torch.load(runs / "spared" / f"rank-{rank}.pt") for rank in (0, 1))
    for found in (first, second):
        assert found["record"]["epoch"] == 0
    # Both log every number of a record, so that neither waits for the other there, and none is known.
    assert first["metrics"].keys() == second["metrics"].keys() >= {"attribution/similarity", "seqlets/count"}
    assert all(one != one for found in (first, second) for one in found["metrics"].values())
    for name in first["weights"]:
        if "running" not in name and "tracked" not in name:  # batch norm sees other batches on each
            assert torch.equal(first["weights"][name], second["weights"][name])
    assert [path.name for path in (runs / "spared" / "epochs").iterdir()] == ["epoch-000-step-00000000.npz"]


@pytest.mark.reliability(
    "errors in the middle of a training",
    "kill -9 while a callback writes",
    "what has its name is whole, and the next training reads and writes there",
)
def test_a_process_that_is_killed_leaves_nothing_half(runs, toy):
    folder = runs / "killed" / "epochs"
    whole, partial = sorted(path.name for path in folder.iterdir())
    assert whole == "epoch-000-step-00000000.npz"
    assert partial.startswith("epoch-001-step-00000006.npz.")
    assert load_record(folder / whole).attributions.shape == (1, 4, 20)
    history = History(toy.sequences(1, seed=3))
    history.read_folder(folder, 1, 6)
    assert history.steps == [0]
    with pytest.warns(sl.SeqlightWarning, match="holds 1 records of an earlier training"):
        toy.fit([toy.attribution(1, n_shuffles=1, out=folder)], max_epochs=1)
    assert load_record(folder / "epoch-001-step-00000006.npz").epoch == 1


def test_one_process_alone():
    alone = SimpleNamespace(global_rank=0, world_size=1)
    assert split_among_ranks(alone, 3, sum) == [([0, 1, 2], 3)]
    assert split_among_ranks(alone, 0, sum) == []
    assert run_on_all_ranks(alone, lambda: 5) == [5]
    assert run_on_first_rank(SimpleNamespace(world_size=1, is_global_zero=True), lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        run_on_all_ranks(alone, lambda: 1 / 0)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "fixtures"))
    warnings.filterwarnings("error", ".*sync_dist.*")
    out = Path(sys.argv[1])
    fit_and_be_killed(out / "killed")
    fit(out / "two-3", 3, 2)
    fit(out / "two-1", 1, 2, pictures=False)
    fit(out / "spared", 3, 2, FailingLater, pictures=False)
    with contextlib.suppress(Exception):
        fit(out / "stopped", 3, 2, FailingLater, pictures=False, on_error="raise")
    for on in (None, "validation", "train"):
        fit_for_weights(out / f"weights-{on}", on)
    start = time.monotonic()
    try:
        fit(out / "failing", 3, 2, Failing)
    except Exception as error:
        (out / "failing" / "parent.txt").write_text(str(error))
    (out / "seconds.txt").write_text(str(time.monotonic() - start))
    for n in (3, 1):
        fit(out / f"one-{n}", n, 1, pictures=False)
    from toy_training import network

    torch.save(network().state_dict(), out / "untrained.pt")
