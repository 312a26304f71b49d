"""Modules made from YAML, as LightningCLI and the commands do, are those made from arguments."""

from __future__ import annotations

import jsonargparse
import pytest
import torch
import yaml

from seqlight.lit import DeepLiftShapModule, PredictModule, TrainModule
from seqlight.lit.penalties import Sparsity
from seqlight.targets import Counts

LINEAR = "{class_path: torch.nn.Linear, init_args: {in_features: 3, out_features: 1}}"


def made(kind, text):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "module")
    parsed = parser.parse_object({"module": yaml.safe_load(text)})
    return parser.instantiate(parsed).module


def test_training():
    module = made(
        TrainModule,
        f"""
        model: {LINEAR}
        loss: {{class_path: torch.nn.MSELoss}}
        metrics:
          auroc: {{class_path: torchmetrics.classification.BinaryAUROC}}
        optimizer: {{class_path: torch.optim.SGD, init_args: {{lr: 0.25}}}}
        scheduler: {{class_path: torch.optim.lr_scheduler.CosineAnnealingLR, init_args: {{eta_min: 0.125}}}}
        """,
    )
    assert isinstance(module.loss, torch.nn.MSELoss)
    assert type(module.valid_metrics["auroc"]).__name__ == "BinaryAUROC"
    optimizer = module.optimizer(module.model.parameters())
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.param_groups[0]["lr"] == 0.25
    scheduler = module.scheduler(optimizer, 10)
    assert (scheduler.T_max, scheduler.eta_min) == (10, 0.125)


def test_priors_of_a_training():
    module = made(
        TrainModule,
        f"""
        model: {LINEAR}
        priors:
          gini:
            class_path: seqlight.lit.AttributionPrior
            init_args:
              penalty: {{class_path: seqlight.lit.penalties.Sparsity, init_args: {{kind: gini}}}}
              target: counts(head=1)
        """,
    )
    assert (module.priors["gini"].penalty, module.priors["gini"].target) == (Sparsity("gini"), Counts(head=1))


@pytest.mark.parametrize("kind", [PredictModule, DeepLiftShapModule])
def test_prediction_and_attribution(kind, tmp_path):
    torch.manual_seed(0)
    expected = torch.nn.Linear(3, 1)
    torch.save(expected.state_dict(), tmp_path / "a.pt")
    module = made(kind, f"model: {LINEAR}\ncheckpoint: {tmp_path}/a.pt\ndtype: float64")
    assert torch.equal(module.model.weight, expected.weight)
