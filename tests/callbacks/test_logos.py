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


def test_titles_have_the_names_of_a_fasta_file(toy, tmp_path):
    sl.write_fasta(tmp_path / "probes.fa", toy.sequences(2), names=["one", "two"])
    first, logos = AttributionCallback(tmp_path / "probes.fa", n_shuffles=2), LogoCallback(examples=[1])
    toy.fit([first, logos], max_epochs=1)
    assert logos.draw().axes[0].get_title(loc="left").startswith("two, output ")
