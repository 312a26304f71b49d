from __future__ import annotations

import lightning.pytorch as L
import pytest
import pytorch_lightning
import torch

import seqlight as sl
from seqlight.lit.lightning_packages import require_lightning
from seqlight_callbacks import LogoCallback, SeqletCallback
from seqlight_callbacks.explained_model import select_model
from seqlight_callbacks.trainer_state import epochs_trained, is_fitting, log_scalars


def test_epochs_trained(toy):
    seen = []

    class Count(L.Callback):
        def on_validation_epoch_end(self, trainer, pl_module):
            if not trainer.sanity_checking:
                seen.append((epochs_trained(trainer), is_fitting(trainer)))

    fitted = toy.fit([Count()])
    fitted.trainer.validate(fitted.module, toy.data(), verbose=False)
    assert seen == [(1, True), (2, True), (2, False)]


def test_other_classes_than_trainers_are_refused_by_name(toy):
    Other = type("Trainer", (), {"__module__": "other.trainer"})
    with pytest.raises(sl.InputError, match=r"a other\.trainer\.Trainer: expected lightning\.pytorch"):
        require_lightning(Other())
    with pytest.raises(sl.InputError, match="or pytorch_lightning"):
        toy.attribution(2, n_shuffles=1).setup(Other(), None, "fit")


def module_of(package):
    """Return a user's module, written with one of the two packages."""

    class UserModule(package.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, X):
            return self.net(X)

        def training_step(self, batch, batch_idx):
            X, y = batch
            return (self.net(X.float()).squeeze(1) - y).square().mean()

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.training_step(batch, batch_idx))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return UserModule


PACKAGES = (L, pytorch_lightning)


def fitted_with(package, toy, folder, callbacks, **settings):
    torch.manual_seed(1)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    quiet |= {"max_epochs": 2, "limit_train_batches": 2, "limit_val_batches": 1, "default_root_dir": folder}
    trainer = package.Trainer(callbacks=callbacks, **quiet | settings)
    data = toy.data()
    loaders = [torch.utils.data.DataLoader(data.splits[split], batch_size=4) for split in ("train", "valid")]
    module = module_of(package)(toy.network())
    trainer.fit(module, *loaders)
    return trainer, module, loaders[1]


@pytest.mark.reliability(
    "callbacks in other trainings",
    "`pytorch_lightning.Trainer`, with ModelCheckpoint and EarlyStopping on what is logged",
    "the same records, numbers, files and weights as with `lightning.pytorch`",
)
def test_both_packages_give_the_same(toy, tmp_path):
    left = []
    for package in PACKAGES:
        folder = tmp_path / package.__name__
        first = toy.attribution(2, out=folder / "out", untrained=True)
        mine = [SeqletCallback(threshold=0.3), first, LogoCallback(examples=(0,), end=8)]
        assert all(isinstance(one, package.Callback) for one in mine)
        best = package.callbacks.ModelCheckpoint(folder, monitor="attribution/magnitude", mode="max")
        stop = package.callbacks.EarlyStopping("seqlets/count", mode="max", patience=1, min_delta=1e9)
        trainer, module, loader = fitted_with(package, toy, folder, [best, stop, *mine], max_epochs=5)
        assert trainer.current_epoch == 2
        assert best.best_model_score > 0
        (numbers,) = trainer.validate(module, loader, verbose=False)
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*"))
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        tensors = [first.record.attributions, first.record.outputs, *module.state_dict().values()]
        left.append((numbers, metrics, files, tensors))
    one, other = left
    assert one[:3] == other[:3]
    assert {"attribution/delta", "seqlets/count", "val_loss"} <= one[0].keys()
    assert all(torch.equal(a, b) for a, b in zip(one[3], other[3], strict=True))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_averaged_weights_are_attributed_in_both_packages(toy, tmp_path, package):
    first = toy.attribution(2, n_shuffles=1)
    averaging = package.callbacks.EMAWeightAveraging(decay=0.5, update_every_n_steps=1)

    class Outputs(package.Callback):
        def on_validation_epoch_end(self, trainer, pl_module):
            with torch.no_grad():
                self.seen = pl_module(first.sequences.float()).squeeze(1)

    outputs = Outputs()
    fitted_with(package, toy, tmp_path, [outputs, averaging, first], max_epochs=1, num_sanity_val_steps=0)
    torch.testing.assert_close(first.record.outputs, outputs.seen, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_module_without_a_forward_is_found_in_both_packages(toy, package):
    class Without(package.LightningModule):
        pass

    with pytest.raises(sl.InputError, match="Without has no forward to explain"):
        select_model(Without())


def test_numbers_are_logged_to_the_last_bit(toy):
    value = float(torch.tensor(0.1) / 3)

    class Log(L.Callback):
        def on_validation_epoch_end(self, trainer, pl_module):
            log_scalars(pl_module, "exact", {"value": value, "nan": float("nan")})

    metrics = toy.fit([Log()], max_epochs=1).trainer.callback_metrics
    assert float(metrics["exact/value"]) == value
    assert metrics["exact/nan"].isnan()
