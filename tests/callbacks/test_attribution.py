from __future__ import annotations

import lightning.pytorch as L
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn

import seqlight as sl
from seqlight.attribution.methods.deeplift import deep_lift_shap
from seqlight.errors import InputError
from seqlight.lit.training import TrainModule
from seqlight.sequence.shuffles import dinucleotide_shuffle
from seqlight_callbacks import LogoCallback, SeqletCallback
from seqlight_callbacks.records import load_record

pytestmark = pytest.mark.accelerator


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_dry_runs_are_skipped(toy, tmp_path):
    callback = toy.attribution(out=tmp_path, untrained=True)
    toy.fit([callback], fast_dev_run=True)
    assert callback.record is None
    assert not list(tmp_path.glob("*.npz"))

    class After(L.Callback):
        def on_sanity_check_end(self, trainer, pl_module):
            assert callback.record is None

    toy.fit([callback, After()], num_sanity_val_steps=2)
    assert callback.record is not None


def test_validate_alone_runs_in_inference_mode(toy, tmp_path):
    fitted = toy.fit(max_epochs=3)
    callback = toy.attribution(every_n_epochs=2, out=tmp_path)
    callbacks = [callback, SeqletCallback(callback)]
    trainer = toy.trainer(callbacks)
    before = {name: tensor.clone() for name, tensor in fitted.module.state_dict().items()}
    (numbers,) = trainer.validate(fitted.module, toy.data(), verbose=False)
    assert callback.record.epoch == 0
    assert numbers["attribution/delta"] < 1e-5
    assert "seqlets/count" in numbers
    assert same(fitted.module.state_dict(), before)


def test_validate_after_fit_is_of_the_epochs_that_were(toy):
    callback = toy.attribution()
    fitted = toy.fit([callback])
    assert callback.record.epoch == 2
    fitted.trainer.validate(fitted.module, toy.data(), verbose=False)
    assert callback.record.epoch == 2


def test_logged_numbers_are_those_of_the_model(toy):
    callback = toy.attribution(window=(5, 12))
    fitted = toy.fit([callback])
    logged = {key: float(value) for key, value in fitted.trainer.callback_metrics.items()}
    model, record = fitted.module.model.eval(), callback.record
    with torch.no_grad():
        outputs = model(callback.sequences.float()).squeeze(1)
        baselines = torch.stack([model(one.float()).squeeze(1) for one in callback.references])
    torch.testing.assert_close(record.outputs, outputs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(record.reference_outputs, baselines, atol=1e-5, rtol=1e-5)
    difference = record.outputs.double() - record.reference_outputs.double().mean(dim=1)
    misses = (record.attributions.double().sum(dim=(1, 2)) - difference).abs()
    assert logged["attribution/delta"] == float(misses.max().float())
    assert logged["attribution/relative_delta"] == pytest.approx(float(misses.mean() / difference.abs().mean()))
    track = record.attributions.sum(dim=1)
    assert logged["attribution/magnitude"] == pytest.approx(float(track.abs().mean()))
    positive = track.clamp_min(0)
    assert logged["attribution/window_share"] == pytest.approx(float(positive[:, 5:12].sum() / positive.sum()))
    direct = deep_lift_shap(fitted.module, callback.sequences, references=callback.references, device="cpu")
    torch.testing.assert_close(record.attributions, direct, atol=1e-6, rtol=1e-4)


def test_references_that_are_not_one_hot_keep_their_fractions(toy):
    flat = torch.full((3, 1, 4, 20), 0.25)
    callback = toy.attribution(references=flat)
    fitted = toy.fit([callback])
    with torch.no_grad():
        expected = fitted.module.model.eval()(flat[0])
    torch.testing.assert_close(callback.record.reference_outputs, expected.expand(3, 1), atol=1e-5, rtol=1e-5)
    assert float(fitted.trainer.callback_metrics["attribution/delta"]) < 1e-5


def test_references_are_fixed(toy):
    given = dinucleotide_shuffle(toy.sequences(3, seed=3), n=2, random_state=7)
    callback = toy.attribution(references=given)
    kept = given.clone()
    given.zero_()
    assert torch.equal(callback.references, kept)
    a, b = toy.attribution(random_state=4), toy.attribution(random_state=4)
    assert torch.equal(a.references, b.references)
    assert not torch.equal(a.references, toy.attribution(random_state=40).references)
    before = a.references.clone()
    toy.fit([a])
    assert torch.equal(a.references, before)


def test_frozen_model_gives_the_same_record_each_epoch(toy, tmp_path):
    class Still(TrainModule):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    net = toy.network()
    del net[1]  # batch norm moves without any step
    callback = toy.attribution(out=tmp_path, untrained=True)
    trainer = toy.fit([callback], module=Still(net)).trainer
    records = [load_record(path) for path in sorted(tmp_path.glob("epoch-*.npz"))]
    assert [record.epoch for record in records] == [0, 1, 2]
    assert all(torch.equal(records[0].attributions, record.attributions) for record in records)
    assert float(trainer.callback_metrics["attribution/similarity"]) == pytest.approx(1)


def test_every_n_epochs(toy, tmp_path):
    callback = toy.attribution(every_n_epochs=2, out=tmp_path)
    seqlets = SeqletCallback(callback)
    toy.fit([callback, seqlets], max_epochs=4)
    assert [load_record(path).epoch for path in sorted(tmp_path.iterdir())] == [2, 4]


def test_untrained(toy, tmp_path):
    callback = toy.attribution(out=tmp_path, untrained=True)
    toy.fit([callback], max_epochs=1)
    expected = deep_lift_shap(
        TrainModule(toy.network()), callback.sequences, references=callback.references, device="cpu"
    )
    torch.testing.assert_close(
        load_record(tmp_path / "epoch-000-step-00000000.npz").attributions, expected, atol=1e-6, rtol=1e-4
    )
    assert (tmp_path / "epoch-001-step-00000006.npz").exists()


def test_written_records_are_whole(toy, tmp_path):
    callback = toy.attribution(out=tmp_path / "made" / "for it")
    toy.fit([callback])
    files = sorted((tmp_path / "made" / "for it").iterdir())
    assert [file.name for file in files] == ["epoch-001-step-00000006.npz", "epoch-002-step-00000012.npz"]
    last = load_record(files[-1])
    assert torch.equal(last.attributions, callback.record.attributions)
    assert torch.equal(last.reference_outputs, callback.record.reference_outputs)


def test_other_callbacks_can_monitor_what_is_logged(toy, tmp_path):
    callback = toy.attribution()
    seqlets = SeqletCallback(callback)
    checkpoint = ModelCheckpoint(tmp_path / "best", monitor="attribution/similarity", mode="max")
    stop = EarlyStopping("seqlets/count", mode="max", patience=1, min_delta=1e9)
    fitted = toy.fit(
        [checkpoint, stop, callback, seqlets], max_epochs=9, enable_checkpointing=True, logger=CSVLogger(tmp_path)
    )
    assert fitted.trainer.current_epoch < 9
    assert checkpoint.best_model_score > 0.1


def test_several_callbacks_of_a_class(toy):
    one, two = toy.attribution(name="one"), toy.attribution(name="two", random_state=9)
    lists = [one, two, SeqletCallback(one, name="a"), SeqletCallback(two, name="b")]
    fitted = toy.fit(lists)
    assert {"one/delta", "two/delta", "a/count", "b/count"} <= fitted.trainer.callback_metrics.keys()
    assert len({callback.state_key for callback in lists}) == 4


def test_resumed_training_goes_on(toy, tmp_path):
    def callbacks(folder):
        first = toy.attribution(out=folder, untrained=True)
        return [first, SeqletCallback(first)]

    whole = toy.fit(callbacks(tmp_path / "whole"), max_epochs=3)
    toy.fit(callbacks(tmp_path / "halves"), max_epochs=1).trainer.save_checkpoint(tmp_path / "half.ckpt")
    later = callbacks(tmp_path / "halves")
    trainer = toy.fit(later, max_epochs=3, ckpt_path=str(tmp_path / "half.ckpt")).trainer
    names = [f"epoch-{epoch:03d}-step-{6 * epoch:08d}.npz" for epoch in range(4)]
    assert sorted(path.name for path in (tmp_path / "halves").glob("*.npz")) == names
    assert later[0].record.epoch == 3
    assert float(trainer.callback_metrics["attribution/similarity"]) > 0
    assert whole.trainer.global_step == trainer.global_step


def test_resumed_epoch_is_compared_with_the_one_before(toy, tmp_path):
    def fit(epochs, path=None):
        return toy.fit([toy.attribution(out=tmp_path)], max_epochs=epochs, ckpt_path=path).trainer

    first = fit(1)
    first.save_checkpoint(tmp_path / "one.ckpt")
    second = fit(2, str(tmp_path / "one.ckpt"))
    assert float(second.callback_metrics["attribution/similarity"]) > 0.1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_averaged_weights_are_attributed_where_they_are_validated(toy, before):
    class Outputs(L.Callback):
        def on_validation_epoch_end(self, trainer, pl_module):
            with torch.no_grad():
                self.seen = pl_module(callback.sequences).squeeze(1)

    callback, outputs = toy.attribution(), Outputs()
    averaging = EMAWeightAveraging(decay=0.5, update_every_n_steps=1)
    mine = [callback, SeqletCallback()]
    callbacks = [outputs, *mine, averaging] if before else [outputs, averaging, *mine]
    fitted = toy.fit(callbacks, num_sanity_val_steps=0)
    torch.testing.assert_close(callback.record.outputs, outputs.seen, atol=1e-5, rtol=1e-5)
    assert {"attribution/delta", "seqlets/count"} <= fitted.trainer.callback_metrics.keys()


def test_other_loggers(toy, tmp_path):
    callback = toy.attribution()
    toy.fit([callback], logger=CSVLogger(tmp_path, name="csv", version=""))
    header = (tmp_path / "csv" / "metrics.csv").read_text().splitlines()[0]
    assert "attribution/delta" in header.split(",")


def test_diverged_model_does_not_end_the_training(toy, tmp_path):
    class Diverged(nn.Sequential):
        def forward(self, X):
            return super().forward(X) * float("nan")

    callback = toy.attribution()
    with pytest.warns(sl.SeqlightWarning):
        fitted = toy.fit(
            [callback, SeqletCallback(callback), LogoCallback(callback, examples=(0,))],
            net=Diverged(*toy.network()),
            max_epochs=1,
        )
    assert np.isnan(float(fitted.trainer.callback_metrics["attribution/delta"]))
    assert float(fitted.trainer.callback_metrics["seqlets/count"]) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every_n_epochs": 0}, "every_n_epochs"),
        ({"n_shuffles": 0}, "n_shuffles"),
        ({"batch_size": 0}, "batch_size"),
        ({"window": (5, 3)}, "window is 5 to 3"),
        ({"window": (0, 21)}, "window is 0 to 21"),
        ({"references": torch.zeros(2, 1, 4, 20)}, "references has shape"),
        ({"random_state": -1}, "random_state"),
        ({"method": "deeplift"}, "method is 'deeplift': expected one of 'deep_lift_shap', 'integrated_gradients'"),
        ({"on": "epoch"}, "on is 'epoch': expected one of 'validation', 'train', 'test'"),
        ({"window": (1, 2, 3)}, "expected two numbers"),
        ({"target": [0, 1]}, "one callback explains one target"),
        ({"references": "no/such/file.npy"}, "references is 'no/such/file.npy': there is no such file"),
        ({"compare_with": torch.zeros(5, 4, 3)}, r"compare_with has shape \(5, 4, 3\)"),
        ({"compare_with": torch.zeros(6, 4, 20, device="meta")}, "'attribution': compare_with is on the meta device"),
        ({"compare_with": torch.zeros(6, 4, 20) * 1j}, "'attribution': compare_with holds complex64 numbers"),
        ({"compare_with": torch.full((3, 4, 20), torch.nan)}, "'attribution': compare_with holds NaN or infinity"),
        ({"out": 3}, "AttributionCallback 'attribution': out is an int"),
    ],
)
@pytest.mark.reliability(
    "callbacks", "arguments that cannot be used", "an error that names the callback and the argument"
)
def test_bad_arguments_are_refused_when_it_is_made(toy, settings, message):
    with pytest.raises(sl.InputError, match=message):
        toy.attribution(**settings)


def test_target_and_batch_size(toy):
    class Two(TrainModule):
        def training_step(self, batch, batch_idx):
            return self(batch[0]).square().mean()

        def validation_step(self, batch, batch_idx):
            pass

    net = toy.network()
    net[-1] = nn.Linear(120, 3)
    one, other = toy.attribution(target=2, name="a"), toy.attribution(target=-1, batch_size=2, name="b")
    toy.fit([one, other], module=Two(net))
    torch.testing.assert_close(one.record.attributions, other.record.attributions, atol=1e-6, rtol=1e-4)
    with torch.no_grad():
        expected = net.eval()(one.sequences.float())[:, 2]
    torch.testing.assert_close(one.record.outputs, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(sl.InputError, match="target is 3"):
        toy.fit([toy.attribution(target=3)], module=Two(net.train()))


def test_a_missing_target_is_found_before_the_first_step(toy):
    net = toy.network()
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(sl.InputError, match="target is 5 and the model has 1 output: expected 0"):
        toy.fit([toy.attribution(target=5)], net)
    assert same(net.state_dict(), weights)


@pytest.mark.parametrize("on", ["train", "test"])
def test_training_epochs_and_tests(toy, on):
    callback = toy.attribution(on=on, every_n_epochs=2)
    fitted = toy.fit([callback, SeqletCallback()], limit_val_batches=0, max_epochs=2)
    if on == "test":
        assert callback.record is None
        (numbers,) = fitted.trainer.test(fitted.module, toy.data(), verbose=False)
    else:
        numbers = fitted.trainer.callback_metrics
    assert callback.record.epoch == 2
    assert {"attribution/delta", "seqlets/count"} <= numbers.keys()
    direct = deep_lift_shap(fitted.module, callback.sequences, references=callback.references, device="cpu")
    torch.testing.assert_close(callback.record.attributions, direct, atol=1e-6, rtol=1e-4)


def test_monitored_after_the_training_epoch(toy, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, monitor="attribution/magnitude", mode="max")
    toy.fit([checkpoint, toy.attribution(on="train")], enable_checkpointing=True, limit_val_batches=0)
    assert checkpoint.best_model_score > 0


def test_records_are_compared_with_given_attributions(toy, tmp_path):
    first = toy.attribution(out=tmp_path)
    toy.fit([first])
    again = toy.attribution(compare_with=tmp_path / "epoch-002-step-00000012.npz")
    other = toy.attribution(compare_with=-first.record.attributions, name="other")
    numbers = toy.fit([again, other]).trainer.callback_metrics
    assert float(numbers["attribution/agreement"]) == pytest.approx(1)
    assert float(numbers["other/agreement"]) == pytest.approx(-1)


def test_a_sharded_model_is_refused(toy):
    from lightning.pytorch.strategies import FSDPStrategy

    trainer = toy.trainer([callback := toy.attribution()])
    trainer._accelerator_connector.strategy = FSDPStrategy(accelerator=trainer.accelerator)
    with pytest.raises(sl.InputError, match="the strategy is FSDPStrategy, which shards the model"):
        callback.setup(trainer, TrainModule(toy.network()), "fit")


def test_a_second_training_into_the_same_folder_is_a_warning(toy, tmp_path):
    toy.fit([toy.attribution(out=tmp_path / "out")], max_epochs=2)
    with pytest.warns(sl.SeqlightWarning, match="holds 2 records of an earlier training.*its own `out`"):
        toy.fit([toy.attribution(out=tmp_path / "out")], max_epochs=1)


def test_a_trainer_without_validation_is_a_warning(toy):
    callback = toy.attribution()
    with pytest.warns(sl.SeqlightWarning, match="validates nothing.*on='train'"):
        toy.fit([callback], limit_val_batches=0)
    assert callback.record is None


def test_the_ledger_of_each_record_is_kept_and_written(toy, tmp_path):
    plain, callback = toy.attribution(out=tmp_path / "plain"), toy.attribution(out=tmp_path / "both", layers=True)
    without = toy.fit([plain])
    fitted = toy.fit([callback])
    assert same(fitted.module.state_dict(), without.module.state_dict())
    assert fitted.trainer.callback_metrics.keys() == without.trainer.callback_metrics.keys()
    assert plain.record.ledger is None
    assert torch.equal(plain.record.attributions, callback.record.attributions)
    settings = {"references": callback.references, "device": "cpu", "layers": True}
    direct = sl.attribute(fitted.module, callback.sequences, **settings).ledger
    pd.testing.assert_frame_equal(callback.record.ledger, direct)
    found = sorted(path.name for path in (tmp_path / "both").iterdir())
    assert found == [
        f"epoch-{at}{end}" for at in ("001-step-00000006", "002-step-00000012") for end in ("-ledger.csv", ".npz")
    ]
    table = pd.read_csv(tmp_path / "both" / found[2], keep_default_na=False)
    assert table.columns.tolist() == ["epoch", "step", *direct.columns]
    assert table["epoch"].tolist() == [2] * len(direct)
    assert table["share"].tolist() == direct["share"].tolist()
    assert load_record(tmp_path / "both" / found[3]).ledger is None
    again = toy.attribution(out=tmp_path / "both")  # a later training, whose first record replaces one of these
    with pytest.warns(sl.SeqlightWarning, match="records of an earlier training"):
        toy.fit([again], max_epochs=1)
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == found[1:]


@pytest.mark.reliability("callbacks", "a ledger is asked for with a method that has none", "refused, with the method")
def test_a_method_without_a_ledger(toy):
    with pytest.raises(InputError, match="layers is given with method 'ism'"):
        toy.attribution(layers=True, method="ism")


@pytest.mark.reliability("callbacks", "the ledger of some modules alone is asked for", "refused, with what is expected")
def test_names_of_layers_are_refused(toy):
    with pytest.raises(InputError, match=r"layers is \['net.stem'\]: expected True"):
        toy.attribution(layers=["net.stem"])
