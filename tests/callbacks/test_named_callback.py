from __future__ import annotations

import pytest

import seqlight as sl
from seqlight_callbacks import SeqletCallback


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
    with pytest.raises(sl.InputError, match="has no AttributionCallback yet"):
        _ = SeqletCallback().attribution


def test_two_of_one_name_are_refused(toy):
    with pytest.raises(RuntimeError, match="AttributionCallback"):  # by Lightning, as their states would collide
        toy.fit([toy.attribution(), toy.attribution()])
    one = toy.attribution()
    with pytest.raises(sl.InputError, match=r"SeqletCallback\(name='seqlets'\)"):
        toy.fit([one, SeqletCallback(one), SeqletCallback(one)])


def test_state_keys_are_unique_and_stable(toy):
    assert toy.attribution(name="one").state_key == "AttributionCallback(name='one')"
    assert SeqletCallback(name="one").state_key == "SeqletCallback(name='one')"
