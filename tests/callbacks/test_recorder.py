from __future__ import annotations

import pytest

import seqlight as sl
from seqlight_callbacks import AttributionReport, SeqletCallback


@pytest.mark.parametrize("on", ["validation", "train"])
def test_listeners_get_each_record_once(toy, on):
    seen = []

    class Spy(SeqletCallback):
        def on_record(self, trainer, record, log):
            seen.append(record)
            super().on_record(trainer, record, log)

    first = toy.attribution(on=on, untrained=True)
    fitted = toy.fit([first, Spy()], num_sanity_val_steps=2, max_epochs=3)
    assert [record.epoch for record in seen] == [0, 1, 2, 3]
    assert seen[-1] is first.record
    fitted.trainer.validate(fitted.module, toy.data(), verbose=False)
    assert len(seen) == 4 + (on == "validation")


def test_listeners_get_the_untrained_record_but_do_not_log_it(toy):
    logged = []

    class Spy(SeqletCallback):
        def on_record(self, trainer, record, log):
            super().on_record(trainer, record, lambda *args: logged.append((record.epoch, log(*args))))

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            assert "seqlets/count" not in trainer.callback_metrics or trainer.current_epoch
            assert self.seqlets is not None

        def setup(self, trainer, pl_module, stage):
            super().setup(trainer, pl_module, stage)

    toy.fit([toy.attribution(untrained=True), Spy()], num_sanity_val_steps=0)
    assert [epoch for epoch, _ in logged] == [0, 1, 2]


@pytest.mark.reliability(
    "callbacks", "a number where a callback is wanted, or a path", "an error that names the callback"
)
@pytest.mark.parametrize("argument", [{"attribution": 5}, {"path": 5}])
def test_errors_name_the_callback(argument):
    with pytest.raises(sl.InputError, match="AttributionReport 'report': "):
        AttributionReport(**argument)
