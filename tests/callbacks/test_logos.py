from __future__ import annotations

import pytest

import seqlight as sl
from seqlight_callbacks import AttributionCallback, LogoCallback, SeqletCallback


def test_pyplot_keeps_nothing(toy):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    assert toy.logo_figure().axes
    assert pyplot.get_fignums() == before


def test_seqlets_are_drawn_and_only_the_asked_part(toy):
    first = toy.attribution(4)
    seqlets = SeqletCallback(first, threshold=0.3)
    logos = LogoCallback(first, seqlets, examples=(0, 3), start=4, end=16)
    toy.fit([first, seqlets, logos], max_epochs=1)
    assert logos.seqlets is seqlets
    axes = logos.draw().axes
    assert [ax.get_title(loc="left").split(",")[0] for ax in axes] == ["sequence 0", "sequence 3"]
    assert len({ax.get_ylim() for ax in axes}) == 1


def test_bad_arguments(toy):
    for examples in ((), (4,), (-1,)):
        with pytest.raises(sl.InputError, match=r"examples is .* expected numbers from 0 to 3"):
            toy.logo(examples=examples)
    with pytest.raises(sl.InputError, match="start and end are 5 and 21: expected 0 <= start < end <= 20"):
        toy.logo(start=5, end=21)
    with pytest.raises(sl.InputError, match="no attributions to draw yet"):
        toy.logo()[1].draw()


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


def test_titles_have_the_names_of_a_fasta_file(toy, tmp_path):
    sl.write_fasta(tmp_path / "probes.fa", toy.sequences(2), names=["one", "two"])
    first, logos = AttributionCallback(tmp_path / "probes.fa", n_shuffles=2), LogoCallback(examples=[1])
    toy.fit([first, logos], max_epochs=1)
    assert logos.draw().axes[0].get_title(loc="left").startswith("two, output ")
