from __future__ import annotations

from functools import partial

import lightning.pytorch as L
import pytest
import torch
from torch import nn
from torchmetrics import MeanSquaredError
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

import seqlight as sl
from seqlight.datasets import ArrayDataset
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.training import TrainModule


def trainer(**settings):
    quiet = {
        "max_epochs": 4,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return L.Trainer(**quiet | settings)


def task(n=64):
    """Return sequences with labels that depend on the share of A."""
    X = sl.random_one_hot((n, 4, 12), random_state=0)
    return X, (X[:, 0].sum(dim=1) > 3).float()


def linear(outputs=1):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, outputs))


def data():
    X, y = task()
    return SequenceDataModule((X[:40], y[:40]), (X[40:], y[40:]), (X[40:], y[40:]), batch_size=8)


def test_training_learns_a_simple_task():
    losses = []

    class Losses(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            losses.append(float(trainer.callback_metrics["train_loss"]))

    module = TrainModule(linear(), None, {"auroc": BinaryAUROC()}, partial(torch.optim.AdamW, lr=3e-2))
    one = trainer(callbacks=[Losses()], max_epochs=6)
    one.fit(module, data())
    assert losses[-1] < 0.6 * losses[0]
    assert {"valid_loss", "valid_auroc", "train_loss"} <= one.callback_metrics.keys()
    (test,) = one.test(module, data(), verbose=False)
    assert test["test_auroc"] > 0.8


def test_metrics_are_computed_over_the_whole_split():
    module = TrainModule(linear(), metrics={"auroc": BinaryAUROC(), "accuracy": BinaryAccuracy()})
    (found,) = trainer().validate(module, data(), verbose=False)
    X, y = task()
    with torch.no_grad():
        logits = module(X[40:]).squeeze(1)
    positive, negative = logits[y[40:] == 1], logits[y[40:] == 0]
    pairs = (positive[:, None] > negative).double() + 0.5 * (positive[:, None] == negative).double()
    assert found["valid_auroc"] == pytest.approx(float(pairs.mean()))
    assert found["valid_accuracy"] == pytest.approx(float(((logits > 0) == (y[40:] == 1)).double().mean()))
    loss = nn.functional.binary_cross_entropy_with_logits(logits, y[40:])
    assert found["valid_loss"] == pytest.approx(float(loss))


def test_logits_between_0_and_1_are_not_taken_for_probabilities():
    class Known(nn.Module):
        """Give each sequence the logit that its number of A stands for."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(1.0))

        def forward(self, X):
            return self.weight * X[:, 0].sum(dim=1)

    X = torch.zeros(4, 4, 10)
    for row, logit in enumerate((0.6, 0.9, 0.8, 5.0)):
        X[row, 0, 0] = logit
    y = torch.tensor([0.0, 1.0, 0.0, 1.0])
    splits = SequenceDataModule(valid=(X, y), batch_size=2)
    (found,) = trainer().validate(TrainModule(Known(), metrics={"auroc": BinaryAUROC()}), splits, verbose=False)
    assert found["valid_auroc"] == 1
    X[0, 0, 0], X[2, 0, 0], X[3, 0, 0] = 0.95, 0.1, 1.5  # 0.9 is below 0.95, in logits and in probabilities
    (found,) = trainer().validate(TrainModule(Known(), metrics={"auroc": BinaryAUROC()}), splits, verbose=False)
    assert found["valid_auroc"] == 0.75


def test_labels_of_a_regression_are_not_rounded():
    X, _ = task(6)
    y = torch.linspace(0.1, 0.9, 6)
    module = TrainModule(linear(), nn.MSELoss(), {"error": MeanSquaredError()})
    (found,) = trainer().validate(module, SequenceDataModule(valid=(X, y)), verbose=False)
    assert found["valid_error"] == pytest.approx(found["valid_loss"])


@pytest.mark.parametrize(("outputs", "y"), [(1, torch.zeros(6)), (1, torch.zeros(6, 1)), (3, torch.zeros(6, 3))])
def test_shapes_of_output_and_labels(outputs, y):
    X, _ = task(6)
    (found,) = trainer().validate(TrainModule(linear(outputs)), SequenceDataModule(valid=(X, y)), verbose=False)
    assert found["valid_loss"] > 0


def test_integer_labels():
    X, y = task(6)
    losses = []
    for labels in (y, y.long(), y.bool()):
        (found,) = trainer().validate(TrainModule(linear()), SequenceDataModule(valid=(X, labels)), verbose=False)
        losses.append(found["valid_loss"])
    assert losses[0] == losses[1] == losses[2]


def test_shapes_that_a_loss_would_broadcast_are_refused():
    X, y = task(6)
    for outputs, labels, shape in ((3, y, r"\(6, 3\) and the labels \(6,\)"), (1, y.repeat(2, 1).T, r"\(6, 1\) and")):
        splits = SequenceDataModule(valid=(X, labels))
        with pytest.raises(sl.InputError, match=shape):
            trainer().validate(TrainModule(linear(outputs), nn.MSELoss()), splits, verbose=False)


def test_a_loss_may_be_any_function_of_any_output():
    class Two(nn.Module):
        """Return a profile and a count, as BPNet does."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(0.5))

        def forward(self, X):
            return self.weight * X[:, 0], self.weight * X.sum(dim=(1, 2))

    def loss(output, y):
        profile, count = output
        return ((profile.sum(dim=1) - y) ** 2).mean() + (count - 6).abs().mean()

    X, y = task(6)
    (found,) = trainer().validate(TrainModule(Two(), loss), SequenceDataModule(valid=(X, y)), verbose=False)
    assert found["valid_loss"] == pytest.approx(float(((X[:, 0].sum(dim=1) / 2 - y) ** 2).mean()))


@pytest.mark.reliability(
    "Training",
    "several losses that are returned as a dict, one loss for each row, or a batch with more than a pair",
    "a sentence that says to return their sum, and to nest the labels",
)
def test_several_losses_and_labels_are_told_how_they_are_given():
    X, y = task(6)
    several = TrainModule(linear(), lambda output, y: {"profile": output.sum(), "counts": output.sum()})
    with pytest.raises(sl.InputError, match=r"the loss returned a dict: expected one tensor; of several .* the sum"):
        several.training_step((X, y), 0)
    with pytest.raises(sl.InputError, match=r"the loss returned shape \(6,\): expected a single number"):
        TrainModule(linear(), lambda output, y: output).training_step((X, y), 0)
    with pytest.raises(
        sl.InputError, match=r"returns a Tensor and the labels are a list, which BCEWithLogitsLoss cannot"
    ):
        TrainModule(linear()).training_step((X, [y, y]), 0)
    with pytest.raises(sl.InputError, match=r"a batch has 3 members.* as in \(X, \(profile, counts\)\)"):
        TrainModule(linear()).training_step((X, y, y), 0)


def test_rows_without_labels():
    X, y = task(6)
    splits = SequenceDataModule(valid=ArrayDataset(X), predict=(X, y), batch_size=4)
    module = TrainModule(linear())
    with pytest.raises(sl.InputError, match="a batch is a Tensor: expected a pair of inputs and labels"):
        trainer().validate(module, splits, verbose=False)
    outputs = [
        torch.cat(trainer().predict(module, one)) for one in (splits, SequenceDataModule(predict=ArrayDataset(X)))
    ]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], module(X).detach())


def test_classes():
    X, _ = task(6)
    module = TrainModule(linear(3), nn.CrossEntropyLoss())
    (found,) = trainer().validate(module, SequenceDataModule(valid=(X, torch.arange(6) % 3)), verbose=False)
    assert found["valid_loss"] > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_integers_become_the_dtype_of_the_model(dtype):
    module = TrainModule(linear().to(dtype))
    X, _ = task(3)
    assert module(X).dtype == dtype
    assert torch.equal(module(X), module(X.to(dtype)))


def test_scheduler_steps_with_each_batch():
    rates = []

    class Rates(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def decay(optimizer, steps):
        assert steps == 4 * 5
        return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)

    module = TrainModule(linear(), optimizer=partial(torch.optim.SGD, lr=1.0), scheduler=decay)
    trainer(callbacks=[Rates()]).fit(module, data())
    assert rates == pytest.approx([1 - i / 20 for i in range(20)])
    with pytest.raises(sl.InputError, match="set max_epochs"):
        trainer(max_epochs=-1, max_time="00:00:01:00").fit(module, data())


def test_modules_do_not_share_metrics():
    metrics = {"auroc": BinaryAUROC()}
    one, two = TrainModule(linear(), metrics=metrics), TrainModule(linear(), metrics=metrics)
    assert one.valid_metrics["auroc"] is not two.valid_metrics["auroc"]
    assert one.valid_metrics["auroc"] is not one.test_metrics["auroc"]


@pytest.mark.reliability("numbers and ids", "token ids in a training", "they stay integers")
def test_ids_stay_integers_and_one_hot_inputs_are_converted():
    module = TrainModule(nn.Embedding(400, 2).bfloat16())
    assert torch.equal(module(torch.tensor([[257]])), module.model.weight[257].view(1, 1, 2))
    with pytest.raises(sl.InputError, match=r"the model does not take X of int64 and shape \(2, 3\)"):
        TrainModule(nn.Linear(3, 1))(torch.ones(2, 3, dtype=torch.int64))
    assert TrainModule(nn.Conv1d(4, 1, 3))(sl.random_one_hot((2, 4, 9))).dtype == torch.float32
