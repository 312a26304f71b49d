"""Runs on two pretend devices, in a process each; run as a script, this file is those runs."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, PredictModule
from seqlight.lit.collectives import run_on_all_ranks
from seqlight.lit.track_module import TrackModule

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

LENGTH, ROWS = 48, 13
LITTLE = {"predict": 20_000, "attribute": 120_000}  # bytes


class PlaceWriter(L.Callback):
    """Writes where this process worked: its device, and the most bytes that it held on each."""

    def __init__(self, out):
        self.out = out

    def setup(self, trainer, pl_module, stage):
        for device in (0, 1):
            torch.pretend.reset_peak_memory_stats(device)

    def on_predict_end(self, trainer, pl_module):
        found = {"device": str(pl_module.device), "current": torch.pretend.current_device()}
        parts = run_on_all_ranks(
            trainer, lambda: {"rank": torch.full((2,), trainer.global_rank, device=pl_module.device)}
        )
        found["gathered"] = [(one["rank"].tolist(), str(one["rank"].device)) for one in parts]
        found["refused"] = [is_refused(torch.ones(1)), is_refused(torch.ones(1, device=pl_module.device))]
        found["peaks"] = [torch.pretend.max_memory_allocated(device) for device in (0, 1)]
        self.out.mkdir(exist_ok=True)
        (self.out / f"rank-{trainer.global_rank}.json").write_text(json.dumps(found))


def is_refused(tensor):
    """Return whether the processes cannot add up such tensors."""
    try:
        torch.distributed.all_reduce(tensor)
    except RuntimeError as error:
        return "is bound to" in str(error)
    return False


class MemoryTaker(L.Callback):
    """Leaves little memory on the device of the second process, and writes how much each took."""

    def __init__(self, out, free):
        self.out, self.free = out, free

    def on_predict_start(self, trainer, pl_module):
        import pretend_device

        self.limit = contextlib.ExitStack()
        if trainer.global_rank:
            self.limit.enter_context(pretend_device.memory_limit(self.free, trainer.global_rank))
        torch.pretend.reset_peak_memory_stats(trainer.global_rank)
        self.before = torch.pretend.memory_allocated(trainer.global_rank)

    def on_predict_end(self, trainer, pl_module):
        self.limit.close()
        taken = torch.pretend.max_memory_allocated(trainer.global_rank) - self.before
        self.out.with_name(f"{self.out.name}-{trainer.global_rank}.txt").write_text(str(taken))


def network():
    torch.manual_seed(0)
    body = [nn.Conv1d(4, 8, 7, padding=3), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(8, 8, 3), nn.GELU(), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(80, 2)).eval()


def sequences():
    return sl.random_one_hot((ROWS, 4, LENGTH), random_state=0)


def modules(dtype=None):
    """Return what the runs compute, by name."""
    kept = ("references", "standard_error")
    auto = {"n_shuffles": "auto", "max_shuffles": 20, "tolerance": 0.2}
    return {
        "predict": PredictModule(network(), dtype=dtype),
        "attribute": DeepLiftShapModule(network(), n_shuffles=3, hypothetical=True, keep=kept, dtype=dtype),
        "auto": DeepLiftShapModule(network(), target=1, **auto),
        "track": TrackModule(DeepLiftShapModule(network(), n_shuffles=3), LENGTH, 20),
        "track of predictions": TrackModule(PredictModule(network()), LENGTH, 20),
    }


def run(out, name, devices=2, dtype=None, **settings):
    from lightning.pytorch.strategies import SingleDeviceStrategy

    from pretend_device.trainers import PretendStrategy

    strategy = PretendStrategy() if devices == 2 else SingleDeviceStrategy("pretend:1")
    settings = {"accelerator": "pretend", "devices": devices, "strategy": strategy} | settings
    return sl.run(modules(dtype)[name], sequences(), out, progress=False, **{"batch_size": 2} | settings)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, run_scripts, pretend):
    out = tmp_path_factory.mktemp("runs")
    run_scripts([__file__, out])
    return out


def arrays(out):
    found = sl.open_results(out)
    return {name: np.asarray(found[name]) for name in found}


@pytest.mark.reliability(
    "accelerators",
    "run on two devices, in a process each, through Lightning",
    "the results of one device, to the last bit; nothing is allocated on the device of another process",
)
@pytest.mark.parametrize("name", ["predict", "attribute", "auto", "track", "track of predictions"])
def test_two_devices_give_the_results_of_one(runs, name):
    one, two = arrays(runs / f"one-{name}"), arrays(runs / f"two-{name}")
    assert one.keys() == two.keys()
    for key in one:
        np.testing.assert_array_equal(two[key], one[key], err_msg=key)


@pytest.mark.parametrize("name", ["predict", "attribute", "auto", "track", "track of predictions"])
def test_they_are_those_of_the_cpu(runs, name):
    for key, found in arrays(runs / f"two-{name}").items():
        np.testing.assert_allclose(found, arrays(runs / f"cpu-{name}")[key], rtol=1e-4, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", ["predict", "attribute", "auto"])
@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_keeps_to_its_own_device(runs, name, rank):
    found = json.loads((runs / f"places-{name}" / f"rank-{rank}.json").read_text())
    assert (found["device"], found["current"]) == (f"pretend:{rank}", rank)
    assert found["peaks"][rank] > 0
    assert found["peaks"][1 - rank] == 0
    assert found["refused"] == [True, False]  # as by NCCL: what was gathered was sent from the device
    assert found["gathered"] == [[[0, 0], "cpu"], [[1, 1], "cpu"]]


@pytest.mark.reliability(
    "accelerators",
    "DeepLiftShapModule in a Trainer of mixed precision",
    "attributions are those of float32, to the last bit; predictions are in the Trainer's precision",
)
def test_attributions_are_in_float32_whatever_the_trainer_has(runs):
    for key, found in arrays(runs / "half-attribute").items():
        np.testing.assert_array_equal(found, arrays(runs / "one-attribute")[key], err_msg=key)
    full, half = arrays(runs / "one-predict")["predictions"], arrays(runs / "half-predict")["predictions"]
    assert 1e-4 < np.abs(half - full).max() / np.abs(full).max() < 0.05


@pytest.mark.reliability(
    "accelerators",
    "a run begun on two devices goes on on one, and the other way round",
    "only what is missing is computed, and the results are the same",
)
@pytest.mark.parametrize(("name", "whole"), [("one-then-two", "one-predict"), ("two-then-one", "one-attribute")])
def test_a_run_goes_on_on_another_number_of_devices(runs, name, whole):
    for key, found in arrays(runs / name).items():
        np.testing.assert_array_equal(found, arrays(runs / whole)[key], err_msg=key)
    before, after = json.loads((runs / f"{name}.json").read_text())
    assert before.keys() < after.keys()
    assert all(after[shard] == time for shard, time in before.items())


@pytest.mark.reliability(
    "accelerators",
    "run on two devices, one of which has too little memory for the first batch",
    "each process learns its own batch size, and the results are those of one device with enough",
)
@pytest.mark.parametrize("name", ["predict", "attribute"])
def test_each_process_has_a_batch_size_of_its_own(runs, name):
    enough, little = (int((runs / f"tight-{name}-{rank}.txt").read_text()) for rank in (0, 1))
    assert enough > LITTLE[name] >= little
    for key, found in arrays(runs / f"tight-{name}").items():
        # In float64, since in float32 other numbers of rows at a time are seen in the last digits.
        np.testing.assert_allclose(found, arrays(runs / f"double-{name}")[key], rtol=1e-9, atol=1e-12, err_msg=key)


def lose_shards(out):
    """Delete every second shard."""
    for path in sorted(out.glob("shard-*.npz"))[::2]:
        path.unlink()


def go_on(out, name, devices):
    """Continue a run that lost shards, and write when each shard was written before and after."""
    times = []
    for step in (lambda: lose_shards(out), lambda: run(out, name, devices)):
        step()
        times.append({path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.npz")})
    out.with_suffix(".json").write_text(json.dumps(times))


def main(out):
    from lightning.pytorch.plugins import MixedPrecision

    import pretend_device
    from pretend_device import trainers

    pretend_device.load()

    trainers.register()
    warnings.filterwarnings("ignore", category=FutureWarning)
    with pretend_device.switched(available=True, late_copies=True):
        # Forks come before gradients are computed in this process.
        for name in modules():
            run(out / f"two-{name}", name, callbacks=[PlaceWriter(out / f"places-{name}")])
        run(out / "two-then-one", "attribute")
        run(out / "one-then-two", "predict", 1)
        go_on(out / "one-then-two", "predict", 2)
        for name, free in LITTLE.items():
            taker = MemoryTaker(out / f"tight-{name}", free)
            run(out / f"tight-{name}", name, dtype="float64", batch_size=None, shard_rows=6, callbacks=[taker])
        go_on(out / "two-then-one", "attribute", 1)
        for name in modules():
            run(out / f"one-{name}", name, 1)
            run(out / f"cpu-{name}", name, 1, accelerator="cpu", strategy="auto")
        for name in ("predict", "attribute"):
            run(out / f"double-{name}", name, 1, dtype="float64")
            run(out / f"half-{name}", name, 1, plugins=MixedPrecision("bf16-mixed", "pretend"))


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "fixtures"))
    main(Path(sys.argv[1]))
