from __future__ import annotations

import pytest

import seqlight as sl
from seqlight_callbacks import AttributionReport, LogoCallback, SeqletCallback


def test_the_only_one_is_found_wherever_it_stands(toy):
    seqlets, first = SeqletCallback(), toy.attribution()
    fitted = toy.fit([seqlets, first], max_epochs=1)
    assert seqlets.attribution is first
    assert "seqlets/count" in fitted.trainer.callback_metrics


def test_by_name(toy):
    one, two = toy.attribution(name="one"), toy.attribution(name="two", random_state=5)
    a, b = SeqletCallback("one", name="a"), SeqletCallback(two, name="b")
    toy.fit([a, b, one, two], max_epochs=1)
    assert (a.attribution, b.attribution) == (one, two)


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


def test_what_cannot_be_found_is_named(toy):
    first = toy.attribution()
    with pytest.raises(sl.InputError, match=r"SeqletCallback 'seqlets' found no AttributionCallback in the Trainer"):
        toy.fit([SeqletCallback()])
    with pytest.raises(
        sl.InputError, match=r"looks for an AttributionCallback 'no', and the Trainer has 'attribution'"
    ):
        toy.fit([first, SeqletCallback("no")])
    with pytest.raises(
        sl.InputError, match=r"was given an AttributionCallback that is not in the Trainer's callbacks: list both"
    ):
        toy.fit([SeqletCallback(first)])
    with pytest.raises(sl.InputError, match=r"could use any of several, 'attribution', 'b': give the name of one"):
        toy.fit([first, toy.attribution(name="b"), SeqletCallback()])
    with pytest.raises(sl.InputError, match=r"looks for a SeqletCallback 'no', and the Trainer has none"):
        toy.fit([first, LogoCallback(seqlets="no")])
    with pytest.raises(sl.InputError, match=r"LogoCallback 'logos' and its SeqletCallback listen to different"):
        toy.fit([first, toy.attribution(name="b"), SeqletCallback("b"), LogoCallback(first, seqlets="seqlets")])
    with pytest.raises(sl.InputError, match="has no AttributionCallback yet"):
        _ = SeqletCallback().attribution


def test_state_keys_are_unique_and_stable(toy):
    assert toy.attribution(name="one").state_key == "AttributionCallback(name='one')"
    assert SeqletCallback(name="one").state_key == "SeqletCallback(name='one')"


@pytest.mark.reliability(
    "callbacks", "a number where a callback is wanted, or a path", "an error that names the callback"
)
@pytest.mark.parametrize("argument", [{"attribution": 5}, {"path": 5}])
def test_errors_name_the_callback(argument):
    with pytest.raises(sl.InputError, match="AttributionReport 'report': "):
        AttributionReport(**argument)
