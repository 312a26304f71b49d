from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight_callbacks import AttributionCallback, AttributionRecord, SeqletCallback


def known(rows):
    return pd.DataFrame(rows, columns=["example_idx", "start", "end"])


def test_numbers_against_counting_by_hand(toy):
    first = toy.attribution(4)
    callback = SeqletCallback(first, threshold=0.2, strong=0.2, known=known([(0, 2, 9), (1, 0, 20), (3, 15, 20)]))
    fitted = toy.fit([first, callback])
    logged = {key.split("/")[1]: float(v) for key, v in fitted.trainer.callback_metrics.items() if "seqlets/" in key}
    table, track = callback.seqlets, first.record.attributions.sum(dim=1)
    assert len(table) > 3
    assert logged["count"] == len(table)
    assert logged["mean_length"] == pytest.approx((table["end"] - table["start"]).mean())
    inside = torch.zeros_like(track, dtype=torch.bool)
    for row in table.itertuples():
        inside[row.example_idx, row.start : row.end] = True
    assert logged["attribution_share"] == pytest.approx(float(track[inside].abs().sum() / track.abs().sum()), rel=1e-5)
    strong = callback.strong_positive()
    assert (strong["attribution"] > 0).all()
    hits = [
        any(a.example_idx == b.example_idx and a.start < b.end and b.start < a.end for b in callback.known.itertuples())
        for a in strong.itertuples()
    ]
    assert logged["precision"] == pytest.approx(sum(hits) / len(hits))


def test_the_same_keys_where_there_is_nothing(toy):
    first = toy.attribution(4)
    motifs = {"one": torch.eye(4), "two": torch.eye(4).flip(0)}
    callback = SeqletCallback(first, known=known([(0, 2, 9)]), motifs=motifs)
    empty = SeqletCallback(first, known=known([]).astype(int), name="none known")
    logged = {}

    def log(name, numbers):
        logged.update({f"{name}/{key}": number for key, number in numbers.items()})

    trainer = SimpleNamespace(world_size=1, is_global_zero=True)
    for one in (callback, empty):
        one.on_record(trainer, AttributionRecord(1, torch.zeros(4, 4, 20), torch.zeros(4)), log)
    assert set(logged.values()) == {0.0}
    names = ("count", "mean_length", "attribution_share", "recall", "precision")
    matches = {f"seqlets/{name}" for name in ("matched_share", "match/one", "match/two")}
    assert set(logged) == {f"{prefix}/{name}" for prefix in ("seqlets", "none known") for name in names} | matches
    assert list(callback.strong_positive().columns) == list(callback.seqlets.columns)


@pytest.fixture
def jaspar():
    pytest.importorskip("pyjaspar")
    chosen = ("MA0139.2 CTCF", "MA1130.2 FOSL2::JUN")
    everything = sl.jaspar_motifs(tax_group="vertebrates")
    return {name: everything[name] for name in (*chosen, *list(everything)[:60])}


def recorded():
    """Return a record with a CTCF site that raises the output, and an AP-1 site that lowers it."""
    X = sl.random_one_hot((4, 4, 100), random_state=0)
    X = sl.substitute(X, "TGGCCACCAGGGGGCGCTA", start=20)
    X = sl.substitute(X, "GATGAGTCACC", start=60)
    track = torch.randn(4, 100, generator=torch.Generator().manual_seed(0)) * 0.01
    track[:, 20:39] += 1
    track[:, 61:70] -= 1
    return X, AttributionRecord(3, X * track.unsqueeze(1), torch.zeros(4))


def test_motifs(jaspar, tmp_path):
    X, record = recorded()
    first = AttributionCallback(X, n_shuffles=1)
    wanted = ["MA0139.2 CTCF", "MA1130.2 FOSL2::JUN"]
    callback = SeqletCallback(first, motifs=jaspar, logged_motifs=wanted, out=tmp_path / "seqlets")
    numbers = {}
    trainer = SimpleNamespace(world_size=1, is_global_zero=True)
    callback.on_record(trainer, record, lambda name, found: numbers.update(found))
    strong = callback.seqlets[callback.seqlets["p-value"] < callback.strong]
    assert len(strong) >= 8
    assert numbers["match/MA0139.2 CTCF"] == (strong["motif"] == "MA0139.2 CTCF").sum() >= 3
    assert numbers["match/MA1130.2 FOSL2::JUN"] == (strong["motif"] == "MA1130.2 FOSL2::JUN").sum()
    assert numbers["matched_share"] == (strong["motif"] != "").mean()
    weak = callback.seqlets[callback.seqlets["p-value"] >= callback.strong]
    assert (weak["motif"] == "").all()
    assert weak["motif_q-value"].isna().all()
    written = pd.read_csv(
        tmp_path / "seqlets" / "epoch-003.csv", keep_default_na=False, na_values={"motif_q-value": ""}
    )
    pd.testing.assert_frame_equal(written, callback.seqlets, check_dtype=False)


@pytest.mark.reliability("motifs of other people", "counts for a callback", "frequencies, or an error when it is made")
def test_motifs_may_be_counts(toy):
    first = toy.attribution(4)
    callback = SeqletCallback(first, motifs={"one": 20 * torch.eye(4)})
    assert callback.motifs["one"].tolist() == torch.eye(4).tolist()
    with pytest.raises(sl.InputError, match="motif 'one' has a position that does not sum to one, but to 20"):
        SeqletCallback(first, motifs={"one": torch.eye(4) * torch.tensor([20, 21, 20, 20])})


def test_known_from_a_bed_file_by_the_names_of_the_sequences(toy, tmp_path):
    sl.write_fasta(tmp_path / "probes.fa", toy.sequences(3), names=["a", "b", "c"])
    (tmp_path / "known.bed").write_text("b\t2\t9\tsite\n")
    first = AttributionCallback(tmp_path / "probes.fa", n_shuffles=2)
    callback = SeqletCallback(known=str(tmp_path / "known.bed"))
    toy.fit([callback, first], max_epochs=1)
    assert callback.attribution is first
    assert callback.known.to_dict("list") == {"example_idx": [1], "start": [2], "end": [9], "motif": ["site"]}


def test_parquet_needs_pyarrow(toy, tmp_path):
    pytest.importorskip("pyarrow")
    toy.fit([toy.attribution(4), callback := SeqletCallback(out=tmp_path, table="parquet")], max_epochs=1)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "epoch-001-step-00000006.parquet"), callback.seqlets)


def test_strong_positive_before_the_first_epoch(toy):
    with pytest.raises(sl.InputError, match="no seqlets were called yet"):
        SeqletCallback(toy.attribution(4)).strong_positive()


def test_bad_arguments(toy):
    first = toy.attribution(4)
    with pytest.raises(sl.InputError, match="expected an AttributionCallback"):
        SeqletCallback(3)
    with pytest.raises(sl.InputError, match="threshold is 0"):
        SeqletCallback(first, threshold=0)
    with pytest.raises(sl.InputError, match="strong is 2"):
        SeqletCallback(first, strong=2)
    with pytest.raises(sl.InputError, match="table is 'tsv': expected one of 'csv', 'parquet'"):
        SeqletCallback(first, table="tsv")
    with pytest.raises(sl.InputError, match="logged_motifs has 'GATA', which is none of the 1 motifs: use one"):
        SeqletCallback(first, motifs={"GAT": torch.eye(4)}, logged_motifs=["GATA"])
    with pytest.raises(sl.InputError, match="min_overlap"):
        SeqletCallback(first, min_overlap=0)
    with pytest.raises(sl.InputError, match="known names an example_idx outside 0 to 3"):
        SeqletCallback(first, known=known([(4, 0, 3)]))
    with pytest.raises(sl.InputError, match="known has no column 'end'"):
        SeqletCallback(first, known=known([(1, 0, 3)]).drop(columns="end"))


def test_a_second_training_into_the_same_folder_is_a_warning(toy, tmp_path):
    toy.fit([toy.attribution(4), SeqletCallback(out=tmp_path / "out")], max_epochs=2)
    with pytest.warns(sl.SeqlightWarning, match="holds 2 tables of an earlier training.*its own `out`"):
        toy.fit([toy.attribution(4), SeqletCallback(out=tmp_path / "out")], max_epochs=1)


def test_a_training_that_is_resumed_goes_on_in_its_folder(toy, tmp_path, recwarn):
    callbacks = [toy.attribution(4), SeqletCallback(out=tmp_path / "out")]
    toy.fit(callbacks, max_epochs=1).trainer.save_checkpoint(tmp_path / "half.ckpt")
    recwarn.clear()
    again = [toy.attribution(4), SeqletCallback(out=tmp_path / "out")]
    toy.fit(again, max_epochs=2, ckpt_path=str(tmp_path / "half.ckpt"))
    assert not [one for one in recwarn if "earlier training" in str(one.message)]
    assert len(list((tmp_path / "out").iterdir())) == 2
