from __future__ import annotations

import html
import re

import pandas as pd
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn

import seqlight as sl
from seqlight.lit.training import TrainModule
from seqlight_callbacks import AttributionCallback, AttributionReport, LogoCallback, SeqletCallback, report_sections


def attribution(toy, **settings):
    return toy.attribution(4, **{"untrained": True} | settings)


class SummaryReport(AttributionReport):
    """A report of which only the first section is drawn: the quickest, for tests of when and where it is written."""

    def sections(self, ending=""):
        return [report_sections.summary_section(self.report_data(), self._model_name, ending)]


def headings(page):
    return re.findall("<h2>(.*?)</h2>", page)


def test_a_training_leaves_a_report(toy, tmp_path):
    pages = []
    for _ in range(2):
        report = AttributionReport(title="A title", lead="A lead.")
        toy.fit([report, SeqletCallback(threshold=0.3), attribution(toy)], max_epochs=2)
        pages.append((tmp_path / "report.html").read_text())
    page, again = pages
    assert page == again  # two trainings write the same
    assert headings(page) == [
        "In short",
        "How the training went",
        "How the attribution moved",
        "What it looks at",
        "Seqlets",
        "All numbers",
        "Made with",
    ]
    assert "<h1>A title</h1>" in page
    assert "each time at the end of 2 epochs, and before the first." in page
    frames = re.findall('data-label="(.*?)"', page)
    assert frames == ["before training", "after epoch 1", "after epoch 2"]
    # Nothing but the page itself is needed.
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert not re.findall(r"url\((?!data:)|@import|https?://(?!www\.w3\.org)", re.sub(r'"data:[^"]*"', "", page))


def test_the_end_of_a_training_says_where_the_report_is(toy, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("seqlight_callbacks.report.rank_zero_info", said.append)
    toy.fit([attribution(toy), SummaryReport()], max_epochs=1)
    assert said == [f"SummaryReport 'report' is in {tmp_path / 'report.html'}"]


def test_numbers_are_those_that_were_logged(toy, tmp_path):
    report = SummaryReport()
    toy.fit([attribution(toy), report], max_epochs=3, logger=CSVLogger(tmp_path, name="csv", version=""))
    logged = pd.read_csv(tmp_path / "csv" / "metrics.csv").groupby("epoch").first()
    for name in ("train_loss", "valid_loss", "attribution/similarity"):
        line = report.history.curve(name)
        assert list(line) == [6, 12, 18]
        assert [report.history.epoch(step) for step in line] == [1, 2, 3]
        assert list(line.values()) == pytest.approx(logged[name].tolist(), rel=1e-5)
    assert (tmp_path / "csv" / "report.html").exists()


@pytest.mark.parametrize("error", [RuntimeError("no more"), KeyboardInterrupt()])
def test_a_training_that_fails_leaves_one_too(toy, tmp_path, error):
    class Failing(TrainModule):
        def training_step(self, batch, batch_idx):
            if self.current_epoch == 2:
                raise error
            return super().training_step(batch, batch_idx)

    report = SummaryReport(path=tmp_path / "made" / "mine.html")
    trainer = toy.trainer([attribution(toy), report], max_epochs=5)
    with pytest.raises((RuntimeError, SystemExit)):
        trainer.fit(Failing(toy.network()), toy.data())
    page = (tmp_path / "made" / "mine.html").read_text()
    assert f"The training ended early, with {type(error).__name__}" in page
    assert report.history.epochs == [0, 1, 2]
    assert list(report.history.curve("train_loss")) == [6, 12]


def test_a_training_that_fails_before_the_first_record_leaves_none(toy, tmp_path):
    class Failing(TrainModule):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("at once")

    trainer = toy.trainer([attribution(toy, untrained=False), SummaryReport()])
    with pytest.raises(RuntimeError, match="at once"):
        trainer.fit(Failing(toy.network()), toy.data())
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.reliability(
    "names in pictures", "mathematics or tags in a FASTA or a motif file", "a report that has them as they are"
)
def test_names_with_markup_are_escaped(toy, tmp_path):
    names = [r"$\frac$", "<b>$x_1$</b>", "MYC&co", "_d"]
    sl.write_fasta(tmp_path / "probes.fa", toy.sequences(4), names=names)
    known = "".join(
        f"{name}\t2\t9\t{motif}\n" for name, motif in zip(names, ["$\\frac$", "_b", "_b", "<i>"], strict=True)
    )
    (tmp_path / "known.bed").write_text(known)
    first = AttributionCallback(tmp_path / "probes.fa", n_shuffles=2)
    motifs = {r"$\frac$": torch.eye(4), "<b>": torch.eye(4).flip(0)}
    seqlets = SeqletCallback(threshold=0.3, strong=0.3, known=tmp_path / "known.bed", motifs=motifs)
    toy.fit([first, seqlets, LogoCallback(examples=(0, 1)), AttributionReport(examples=(1, 0))], max_epochs=1)
    page = (tmp_path / "report.html").read_text()
    assert headings(page)[2:5] == ["How the attribution moved", "What it looks at", "Seqlets"]
    assert html.escape(f"The attribution of {names[1]} from the beginning") in page
    assert "<b>$x" not in page


def test_a_report_that_cannot_be_written_is_a_warning(toy, tmp_path):
    (tmp_path / "file").write_text("in the way")
    report = SummaryReport(path=tmp_path / "file" / "report.html")
    before = pytest.warns(sl.SeqlightWarning, match="SummaryReport 'report' cannot be written: .* is a file")
    with before, pytest.warns(sl.SeqlightWarning, match=r"the report '.*report\.html' was not written"):
        fitted = toy.fit([attribution(toy), report], max_epochs=1)
    assert fitted.trainer.current_epoch == 1


def test_a_model_that_diverged_has_a_report(toy, tmp_path):
    class Diverged(nn.Sequential):
        def forward(self, X):
            return super().forward(X) * (float("nan") if self[0].weight.abs().max() > 0.5 else 1)

    net = Diverged(*toy.network())
    report = AttributionReport(examples=(0,))
    with torch.no_grad():
        net[0].weight[0, 0, 0] = 0.6
    with pytest.warns(sl.SeqlightWarning) as warned:
        toy.fit([attribution(toy), SeqletCallback(), report], net=net, max_epochs=1)
    assert not [one for one in warned if "not written" in str(one.message)]
    assert report.history.non_finite_steps() == [0, 6]
    page = (tmp_path / "report.html").read_text()
    assert "After epoch 0, and once more, attributions were not finite; nothing is drawn for these." in page


def test_a_resumed_training_reports_all_of_it(toy, tmp_path):
    def fit(epochs, path=None):
        report = SummaryReport(path=tmp_path / f"{epochs}.html")
        mine = [attribution(toy, out=tmp_path / "epochs"), report]
        return toy.fit(mine, max_epochs=epochs, ckpt_path=path).trainer, report

    first, before = fit(2)
    first.save_checkpoint(tmp_path / "two.ckpt")
    _, report = fit(4, str(tmp_path / "two.ckpt"))
    assert report.history.epochs == [0, 1, 2, 3, 4]
    assert list(report.history.curve("valid_loss")) == [6, 12, 18, 24]
    assert report.history.curve("train_loss")[12] == before.history.curve("train_loss")[12]
    assert torch.equal(report.history.attributions(6), before.history.attributions(6))


def test_bad_arguments(toy):
    with pytest.raises(sl.InputError, match=r"examples is \(4,\) .* expected numbers from 0 to 3"):
        AttributionReport(attribution(toy), examples=[4])
    with pytest.raises(sl.InputError, match=r"examples is \(9,\)"):
        toy.fit([attribution(toy), AttributionReport(examples=[9])])


def test_validation_alone_writes_nothing(toy, tmp_path):
    trainer = toy.trainer([attribution(toy), AttributionReport()])
    trainer.validate(TrainModule(toy.network()), toy.data(), verbose=False)
    assert not list(tmp_path.glob("*.html"))
