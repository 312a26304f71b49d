from __future__ import annotations

import pytest

import seqlight as sl
from seqlight_callbacks import LogoCallback, SeqletCallback


def test_in_any_order_the_seqlets_of_the_same_epoch_are_drawn(toy, monkeypatch):
    seen = []

    class Spy(LogoCallback):
        def draw(self):
            seen.append(self.seqlets.seqlets)
            return super().draw()

    seqlets = SeqletCallback(threshold=0.3, name="mine")
    tables = []
    called = seqlets.on_record
    monkeypatch.setattr(seqlets, "on_record", lambda *args: (called(*args), tables.append(seqlets.seqlets)))
    toy.fit([Spy(examples=(0,)), seqlets, toy.attribution(4)])
    assert len(seen) == len(tables) == 2
    assert all(a is b for a, b in zip(seen, tables, strict=True))


def test_of_several_seqlets_none_is_drawn_unless_one_is_named(toy):
    several = [SeqletCallback(name="a"), SeqletCallback(name="b", threshold=0.2)]
    first = toy.attribution(4)
    plain, named = LogoCallback(examples=(0,)), LogoCallback(seqlets="b", examples=(0,), name="with seqlets")
    toy.fit([first, *several, plain, named], max_epochs=1)
    assert plain.seqlets is None
    assert named.seqlets is several[1]


def test_seqlets_that_cannot_be_found_are_named(toy):
    first = toy.attribution()
    with pytest.raises(sl.InputError, match=r"looks for a SeqletCallback 'no', and the Trainer has none"):
        toy.fit([first, LogoCallback(seqlets="no")])
    with pytest.raises(sl.InputError, match=r"LogoCallback 'logos' and its SeqletCallback listen to different"):
        toy.fit([first, toy.attribution(name="b"), SeqletCallback("b"), LogoCallback(first, seqlets="seqlets")])
