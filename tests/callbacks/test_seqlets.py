from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight_callbacks import AttributionCallback, AttributionRecord, SeqletCallback


def attribution(toy, n=4):
    return AttributionCallback(toy.sequences(n, seed=3), n_shuffles=2)


def known(rows):
    return pd.DataFrame(rows, columns=["example_idx", "start", "end"])


def test_numbers_against_counting_by_hand(toy):
    first = attribution(toy)
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
    first = attribution(toy)
    callback = SeqletCallback(first, known=known([(0, 2, 9)]))
    empty = SeqletCallback(first, known=known([]).astype(int), name="none known")
    first.record = AttributionRecord(1, torch.zeros(4, 4, 20), torch.zeros(4), torch.zeros(4, 2))
    logged = {}

    class Module:
        def log(self, key, value, **settings):
            logged[key] = value

    state = SimpleNamespace(fn="validate")
    trainer = SimpleNamespace(sanity_checking=False, fast_dev_run=False, current_epoch=1, state=state)
    for one in (callback, empty):
        one.on_validation_epoch_end(trainer, Module())
    assert set(logged.values()) == {0.0}
    names = ("count", "mean_length", "attribution_share", "recall", "precision")
    assert set(logged) == {f"{prefix}/{name}" for prefix in ("seqlets", "none known") for name in names}
    assert list(callback.strong_positive().columns) == list(callback.seqlets.columns)


def test_strong_positive_before_the_first_epoch(toy):
    with pytest.raises(sl.InputError, match="no seqlets were called yet"):
        SeqletCallback(attribution(toy)).strong_positive()


def test_bad_arguments(toy):
    first = attribution(toy)
    with pytest.raises(sl.InputError, match="expected an AttributionCallback"):
        SeqletCallback("attribution")
    with pytest.raises(sl.InputError, match="threshold is 0"):
        SeqletCallback(first, threshold=0)
    with pytest.raises(sl.InputError, match="strong is 2"):
        SeqletCallback(first, strong=2)
    with pytest.raises(sl.InputError, match="known names an example_idx outside 0 to 3"):
        SeqletCallback(first, known=known([(4, 0, 3)]))
    with pytest.raises(sl.InputError, match="known has no column 'end'"):
        SeqletCallback(first, known=known([(1, 0, 3)]).drop(columns="end"))
