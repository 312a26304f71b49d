"""Trainings on pretend devices, one and two, in half precision too; run as a script, this file is those trainings."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch

from seqlight import metrics
from seqlight.lit.training import TrainModule
from seqlight_callbacks import AttributionCallback, LogoCallback, RandomizationCallback, SeqletCallback

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


class Measured(TrainModule):
    """Measures made-up attributions at each validation, and keeps the places where its weights were in a forward."""

    def __init__(self, model, **settings):
        super().__init__(model, **settings)
        self.measures = torch.nn.ModuleDict(
            {"gini": metrics.AttributionGini(), "similarity": metrics.AttributionSimilarity()}
        )
        self.places = set()

    def forward(self, X):
        weight = self.model[0].weight
        self.places.add((str(weight.device), weight.data_ptr()))
        return super().forward(X)

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        X = batch[0]
        # The same for a row in whatever batch it comes.
        grid = torch.arange(80.0, device=X.device).view(4, 20)
        one, other = (torch.sin(k * grid) * X for k in (1, 2))
        self.measures["gini"].update(one)
        self.measures["similarity"].update(one, other)
        for name, metric in self.measures.items():
            self.log(f"measured/{name}", metric, on_step=False, on_epoch=True)


class ResultWriter(L.Callback):
    """Writes what this process ends with."""

    def __init__(self, out):
        self.out = out

    def setup(self, trainer, pl_module, stage):
        for device in (0, 1):
            torch.pretend.reset_peak_memory_stats(device)

    def on_train_end(self, trainer, pl_module):
        callbacks = {type(one): one for one in trainer.callbacks}
        record = callbacks.get(AttributionCallback)
        check = callbacks.get(RandomizationCallback)
        found = {
            "weights": {name: one.cpu() for name, one in pl_module.state_dict().items()},
            "logged": {name: float(one) for name, one in trainer.callback_metrics.items()},
            "peaks": [torch.pretend.max_memory_allocated(device) for device in (0, 1)],
            "places": sorted(pl_module.places),
            "record": record and vars(record.record),
            "check": check and check.result.table.values.tolist(),
        }
        torch.save(found, self.out / f"rank-{trainer.global_rank}.pt")


def fit(out, watched, strategy, devices, plugins=None, accelerator="pretend"):
    from toy_training import data, network, sequences, trainer

    out.mkdir(parents=True)
    torch.manual_seed(1)
    mine = []
    if watched:
        attribution = AttributionCallback(sequences(3, seed=3), n_shuffles=3, out=out / "epochs", untrained=True)
        check = RandomizationCallback(steps=2, n_draws=1, out=out / "layers.csv")
        mine = [attribution, SeqletCallback(threshold=0.3), LogoCallback(examples=(0,), end=8), check]
    settings = {"accelerator": accelerator, "devices": devices, "strategy": strategy, "plugins": plugins}
    training = trainer(out, [*mine, ResultWriter(out)], **settings)
    training.fit(Measured(network(), optimizer=lambda these: torch.optim.SGD(these, lr=0.1)), data())


@pytest.fixture(scope="module")
def runs(tmp_path_factory, run_scripts, pretend):
    out = tmp_path_factory.mktemp("runs")
    run_scripts([__file__, out])
    return out


def results(runs, name):
    return [torch.load(path) for path in sorted((runs / name).glob("rank-*.pt"))]


@pytest.mark.reliability(
    "accelerators",
    "callbacks attribute in a training on two devices, through a backend that takes tensors of the own device alone",
    "the training is bit for bit the same, and every process has the same records, metrics and checks",
)
def test_two_devices_agree_and_are_unaffected(runs):
    alone, watched = results(runs, "two-alone"), results(runs, "two-watched")
    for without, found in zip(alone, watched, strict=True):
        assert all(torch.equal(one, found["weights"][name]) for name, one in without["weights"].items())
        assert without["logged"].items() <= found["logged"].items()
    first, second = watched
    assert first["logged"] == second["logged"]
    assert first["check"] == second["check"]
    for name in ("attributions", "outputs", "reference_outputs", "standard_error"):
        assert first["record"][name].device.type == "cpu"
        torch.testing.assert_close(first["record"][name], second["record"][name], rtol=0, atol=0)
    assert [len(list((runs / "two-watched" / "epochs").iterdir()))] == [3]


def test_metrics_of_two_devices_are_those_of_one(runs):
    one, two = (results(runs, name)[0]["logged"] for name in ("32-true-watched", "two-watched"))
    for name in ("measured/gini", "measured/similarity"):
        assert two[name] == pytest.approx(one[name], rel=1e-12)


def test_records_and_metrics_are_those_of_the_cpu(runs):
    (here,), (there,) = (results(runs, name) for name in ("cpu", "32-true-watched"))
    for name in ("attributions", "outputs", "reference_outputs"):
        torch.testing.assert_close(there["record"][name], here["record"][name], rtol=1e-4, atol=1e-6)
    assert there["logged"] == pytest.approx(here["logged"], rel=1e-3, abs=1e-5, nan_ok=True)


def test_each_process_keeps_to_its_own_device(runs):
    for rank, found in enumerate(results(runs, "two-watched")):
        assert found["peaks"][rank] > 0
        assert found["peaks"][1 - rank] == 0


@pytest.mark.reliability(
    "accelerators",
    "callbacks attribute in a training on a second device, in float32 and in mixed precision",
    "attributions are made there, from the weights where they lie, in float32; the training is bit for bit the same",
)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_attributions_are_made_where_the_model_lies(runs, precision):
    (alone,), (found,) = (results(runs, f"{precision}-{name}") for name in ("alone", "watched"))
    assert all(torch.equal(one, found["weights"][name]) for name, one in alone["weights"].items())
    assert [device for device, _ in found["places"]] == ["pretend:1"]
    assert found["peaks"][0] == 0
    assert found["record"]["attributions"].dtype == torch.float32
    assert found["record"]["attributions"].abs().sum() > 0


def main(out):
    from lightning.pytorch.plugins import MixedPrecision
    from lightning.pytorch.strategies import SingleDeviceStrategy

    import pretend_device
    from pretend_device import trainers

    pretend_device.load()
    trainers.register()
    warnings.filterwarnings("error", ".*sync_dist.*")
    with pretend_device.switched(available=True, late_copies=True):
        for watched in (False, True):
            fit(out / f"two-{'watched' if watched else 'alone'}", watched, trainers.PretendStrategy(), 2)
        fit(out / "cpu", True, "auto", 1, accelerator="cpu")
        for precision in PRECISIONS:
            for watched in (False, True):
                plugins = None if precision == "32-true" else MixedPrecision(precision, "pretend")
                name = f"{precision}-{'watched' if watched else 'alone'}"
                fit(out / name, watched, SingleDeviceStrategy("pretend:1"), 1, plugins)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "fixtures"))
    main(Path(sys.argv[1]))
