"""The study of seqlet callers: what it says of callers whose calls are known."""

import numpy as np
import pandas as pd
import pytest

from seqlight.studies.suites import seqlet_callers, seqlets
from seqlight.studies.suites.seqlet_callers import CALLERS, Caller
from seqlight.studies.suites.tracks import NO_SEQLETS, NOISES, Track, plant_sites

OURS = {name: one for name, one in CALLERS.items() if "tangermeme" not in name and "lite" not in name}


def sites(track):
    return track.known.assign(attribution=1.0)


def moved(track):
    """A call beside each site, on none of its positions."""
    known = track.known
    return pd.DataFrame(
        {"example_idx": known["example_idx"], "start": known["end"], "end": known["end"] + 3, "attribution": 1.0}
    )


def broken(track):
    raise ValueError("nothing but zeros")


@pytest.fixture(scope="module")
def track():
    rng = np.random.RandomState(0)
    return Track(
        rng.normal(size=(4, 60)),
        rng.normal(size=(4, 60)),
        pd.DataFrame({"example_idx": [0, 2], "start": 10, "end": 20}),
    )


@pytest.fixture(scope="module")
def known():
    return {
        "right": Caller(sites),
        "beside": Caller(moved, same_as="right"),
        "the same": Caller(sites, same_as="right"),
        "broken": Caller(broken, same_as="right"),
        "wide": Caller(lambda track: sites(track).assign(start=5, end=25), flank=5),
    }


def test_recovery_of_known_calls(track, known):
    calls = seqlets.call_all({"one": track}, known)
    table = seqlets.recovery_table({"one": track}, calls, known).set_index("caller")
    columns = ["calls", "recall", "precision", "iou", "false"]
    assert table.loc["right", columns].tolist() == table.loc["wide", columns].tolist() == [2, 1, 1, 1, 0]
    assert table.loc["beside", columns].tolist() == [2, 0, 0, 0, 1]
    assert table.loc["broken", "calls"] == 0
    assert table.loc["broken", "error"] == "ValueError: nothing but zeros"


def test_agreement_of_known_calls(track, known):
    table = seqlets.agreement_table(seqlets.call_all({"one": track}, known), known).set_index("other")
    numbers = ["calls", "calls_of_other", "common"]
    assert table.loc["the same", numbers].tolist() == [2, 2, 2]
    assert table.loc["beside", numbers].tolist() == [2, 2, 0]
    assert table.loc["broken", numbers].tolist() == [2, 0, 0]
    assert table.loc["the same", "seconds"] >= 0


def test_negative_calls_are_no_sites():
    called = pd.DataFrame({"example_idx": [0, 0], "start": [0, 9], "end": [5, 12], "attribution": [1.0, -1.0]})
    assert Caller(sites).positive_cores(called)["start"].tolist() == [0]


def test_the_null_counts_calls_and_replicates(known):
    one_call = pd.DataFrame({"example_idx": [0], "start": [0], "end": [5], "attribution": [1.0]})
    # Half of the replicates have a call: those whose first value is positive.
    sometimes = Caller(lambda track: one_call if track.values[0, 0] > 0 else NO_SEQLETS)
    callers = {"sometimes": sometimes, "slow": Caller(sites, slow=True), "broken": Caller(broken)}
    table = seqlets.null_table(40, 3, (4, 50), callers)
    assert set(table["noise"]) == set(NOISES)
    of_sometimes = table[table["caller"] == "sometimes"]
    assert of_sometimes["any"].between(0.25, 0.75).all()
    assert (of_sometimes["calls"] == of_sometimes["any"] * 1e4 / 200).all()
    assert table.loc[table["caller"] == "slow", "replicates"].tolist() == [3] * 4
    assert table.loc[table["caller"] == "broken", "replicates"].tolist() == [0] * 4


@pytest.mark.parametrize("name", OURS)
def test_our_callers_find_strong_sites(name):
    strong = plant_sites((NOISES["Laplace"][0], 8), 0, 20, (40, 150))
    calls = seqlets.call_all({"strong": strong}, {name: OURS[name]})
    row = seqlets.recovery_table({"strong": strong}, calls, {name: OURS[name]}).iloc[0]
    # Windows of 21 and their flanks do not fit near the ends.
    assert row["recall"] >= (0.75 if "tfmodisco" in name else 0.95)
    assert row["precision"] > 0.6


@pytest.mark.reliability(
    "seqlets",
    "calls of tangermeme's tfmodisco_seqlets against those of modisco-lite",
    "they differ until sums are sorted and the null is that of modisco-lite; ours are equal",
)
def test_what_tangermeme_leaves_out():
    pytest.importorskip("tangermeme")
    pytest.importorskip("modiscolite")
    track = plant_sites((NOISES["Laplace"][0], 8), 2, 10, (20, 200))
    names = [name for name, one in CALLERS.items() if name == "tfmodisco_seqlets" or one.same_as == "tfmodisco_seqlets"]
    found = {name: seqlets.call(CALLERS[name], track) for name in names}
    ours, lite, shipped, _, mended = found.values()
    assert ours.spans == lite.spans == mended.spans
    assert len(shipped.spans) > 2 * len(ours.spans)
    # The function that was replaced for a while is back.
    from tangermeme import seqlet

    assert seqlet._isotonic_thresholds.__module__ == seqlet._laplacian_null.__module__ == "tangermeme.seqlet"


def test_what_was_replaced_comes_back_after_an_error():
    with pytest.raises(ValueError, match="stop"), seqlet_callers.replaced(seqlets, "SHARED", lambda: None):
        raise ValueError("stop")
    assert seqlets.SHARED == 4


def test_the_suite_names_its_tables(monkeypatch, track):
    monkeypatch.setattr(seqlets, "make_tracks", lambda: {"one": track})
    monkeypatch.setattr(seqlets, "call_all", lambda tracks: {"one": dict.fromkeys(CALLERS, seqlets.Called(NO_SEQLETS))})
    monkeypatch.setattr(seqlets, "null_table", lambda: pd.DataFrame())
    assert set(seqlets.SUITE.tables()) == {"agreement", "recovery", "null"}
