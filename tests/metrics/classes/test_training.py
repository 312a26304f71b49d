"""The metrics in a user's own training loop, without our callbacks."""

from __future__ import annotations

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import seqlight as sl
from seqlight.metrics import (
    AttributionSimilarity,
    ConvergenceDelta,
    FaithfulnessArea,
    MotifWindowShare,
    attribution_similarity,
    convergence_delta,
    faithfulness_area,
    motif_window_share,
)


class MetricModule(L.LightningModule):
    """Logs metric objects, as a user would."""

    def __init__(self):
        super().__init__()
        layers = nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(6 * 36, 1)
        self.net = nn.Sequential(*layers)
        self.delta, self.share = ConvergenceDelta("max"), MotifWindowShare(10, 20)
        self.similarity = AttributionSimilarity()
        self.area = FaithfulnessArea(n_shuffles=2, shares=(0, 0.1, 1))
        self.expected: list[dict[str, float]] = []
        self.seen: list[tuple[torch.Tensor, ...]] = []

    def training_step(self, batch, batch_idx):
        X, y = batch
        return nn.functional.mse_loss(self.net(X.to(self.dtype))[:, 0], y.to(self.dtype))

    def validation_step(self, batch, batch_idx):
        X, _ = batch
        found = sl.attribute(self.net, X, n_shuffles=3, random_state=0, device=self.device)
        others = sl.input_x_gradient(self.net, X, device=self.device).attributions
        self.delta.update(found.attributions, found.outputs, found.reference_outputs)
        self.share.update(found.attributions)
        self.similarity.update(found.attributions, others)
        self.area.update(self.net, X, found.attributions)
        for name in ("delta", "share", "similarity", "area"):
            self.log(name, getattr(self, name))
        self.seen.append((X, found.attributions, found.outputs, found.reference_outputs, others))

    def on_validation_epoch_end(self):
        X, attributions, outputs, reference_outputs, others = (torch.cat(one) for one in zip(*self.seen, strict=True))
        self.seen.clear()
        at_once = {
            "delta": convergence_delta(attributions, outputs, reference_outputs, "max"),
            "share": motif_window_share(attributions, 10, 20),
            "similarity": attribution_similarity(attributions, others),
            "area": faithfulness_area(self.net, X, attributions, n_shuffles=2, shares=(0, 0.1, 1)),
        }
        self.expected.append({name: float(value) for name, value in at_once.items()})

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


class Logged(L.Callback):
    """Keeps what each validation logged."""

    def __init__(self):
        self.values = []

    def on_validation_end(self, trainer, pl_module):
        self.values.append(
            {name: float(trainer.callback_metrics[name]) for name in ("delta", "share", "similarity", "area")}
        )


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_a_module_logs_its_metrics(tmp_path, precision):
    L.seed_everything(0, verbose=False)
    X = sl.random_one_hot((20, 4, 40), random_state=0)
    batches = DataLoader(TensorDataset(X, X[:, 0, 3].float()), batch_size=8)
    logged, module = Logged(), MetricModule()
    best = ModelCheckpoint(tmp_path, monitor="share", mode="max")
    trainer = L.Trainer(
        max_epochs=3,
        precision=precision,
        accelerator="cpu",
        callbacks=[logged, best, EarlyStopping("area", mode="max", patience=5)],
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, batches, batches)
    trainer.validate(module, batches, verbose=False)  # in inference mode
    assert len(logged.values) == 4
    for values, at_once in zip(logged.values, module.expected, strict=True):
        assert values == pytest.approx(at_once, rel=1e-6)  # what is logged is in float32
    assert logged.values[0]["share"] != logged.values[1]["share"]
    assert float(best.best_model_score) == max(values["share"] for values in logged.values[:3])
    assert module.share.top.dtype == torch.float64
    # The metrics add nothing to a checkpoint.
    state = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    assert all(name.startswith("net.") for name in state)


def test_a_module_may_pass_itself_to_a_metric_that_it_holds():
    """The module is restored after each run, but the sums of its metrics stay."""
    L.seed_everything(0, verbose=False)
    module = CallableModule()
    X = sl.random_one_hot((6, 4, 40), random_state=0)
    attributions = torch.randn(X.shape)
    with torch.inference_mode():
        for rows in (slice(0, 4), slice(4, 6)):
            module.area.update(module, X[rows], attributions[rows])
        module.area(module, X, attributions)
    twice = torch.cat([X, X]), torch.cat([attributions, attributions])
    expected = faithfulness_area(module.net, *twice, n_shuffles=2, shares=(0, 0.1, 1))
    assert float(module.area.compute()) == pytest.approx(float(expected))
    assert module.training


class CallableModule(MetricModule):
    """Also runs as a model."""

    def forward(self, X):
        return self.net(X)
