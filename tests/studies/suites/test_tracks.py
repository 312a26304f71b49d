"""Tracks with sites: the sites are where the table says."""

import numpy as np
import pytest
from torch import nn

from seqlight.studies.suites import tracks


def untrained_network():
    return nn.Sequential(nn.Conv1d(4, 1, 5), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten())


@pytest.mark.parametrize("kind", tracks.NOISES)
def test_sites_are_where_the_table_says(kind):
    with_sites = tracks.plant_sites(tracks.NOISES[kind], 1, 5, (10, 60), controls=2)
    without = tracks.plant_sites(tracks.NOISES[kind], 1, 0, (10, 60))
    assert with_sites.control.shape == (20, 60)
    assert without.known.empty
    inside = np.zeros((10, 60), dtype=bool)
    for row, start, end in with_sites.known.itertuples(index=False):
        inside[row, start:end] = True
    assert inside.sum() == 50
    difference = with_sites.values - without.values
    assert (difference[inside] > 0).all()
    assert (difference[~inside] == 0).all()


def test_a_track_of_a_network_knows_its_motifs(monkeypatch):
    monkeypatch.setattr(tracks, "trained_network", lambda *_: untrained_network())
    track = tracks.planted_track(rows=4)
    assert track.values.shape == track.control.shape == (4, 120)
    known = track.known
    assert ((known["end"] - known["start"]) == 8).all()
    assert known.groupby("example_idx").size().tolist() == [2, 2, 2, 2]


def test_the_starts_of_ecoli_have_one_interval_each(monkeypatch):
    monkeypatch.setattr(tracks, "train_ecoli_network", lambda *_, **__: untrained_network())
    track = tracks.ecoli_track(rows=3)
    assert track.values.shape == (3, 60)
    assert track.known["start"].tolist() == [22, 22, 22]
