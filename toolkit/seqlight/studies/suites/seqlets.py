"""Seqlet callers against each other, against sites at known places, and where there is nothing to find."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from seqlight.metrics.overlap import overlap
from seqlight.studies.suites.seqlet_callers import CALLERS, COLUMNS, Caller
from seqlight.studies.suites.suite import TableSuite
from seqlight.studies.suites.tracks import NO_SEQLETS, NOISES, Track, ecoli_track, plant_sites, planted_track

ROWS, LENGTH, SITES = 200, 300, 100
# Replicates without sites, and how many of them those get that take seconds for each.
NULLS, SLOW_NULLS = 40, 4
# Positions that a call and a site must share.
SHARED = 4
TIMED = 5


class Called(NamedTuple):
    """What a caller called in a track.

    Attributes
    ----------
    seqlets : pandas.DataFrame
        Columns example_idx, start, end and attribution; empty after an error.
    seconds : float
        Of processor time, with one thread of PyTorch: the least of five calls, or of one if it takes seconds.
    error : str
        "" if there was none.
    """

    seqlets: pd.DataFrame
    seconds: float = float("nan")
    error: str = ""

    @property
    def spans(self) -> set[tuple[int, int, int]]:
        """The intervals."""
        return set(self.seqlets[COLUMNS].astype(np.int64).itertuples(index=False, name=None))


Calls = Mapping[str, Mapping[str, Called]]


def make_tracks() -> dict[str, Track]:
    """Return tracks by name: noise with sites, and attributions of two trained networks."""
    tracks = {name: plant_sites(kind, 0, SITES, (ROWS, LENGTH)) for name, kind in NOISES.items()}
    tracks["Laplace, strong sites"] = plant_sites((NOISES["Laplace"][0], 8), 0, SITES, (ROWS, LENGTH))
    tracks["network, planted motifs"] = planted_track(ROWS)
    tracks["network, E. coli starts"] = ecoli_track(ROWS)
    return tracks


def call_all(tracks: Mapping[str, Track], callers: Mapping[str, Caller] = CALLERS) -> Calls:
    """Return what each caller calls in each track: by track, then by caller."""
    return {
        name: {caller: call(one, track, timed=True) for caller, one in callers.items()}
        for name, track in tracks.items()
    }


def call(caller: Caller, track: Track, timed: bool = False) -> Called:
    """Return what a caller calls; an error is a result."""
    found, taken, threads = NO_SEQLETS, [], torch.get_num_threads()
    try:
        for _ in range(TIMED if timed and not caller.slow else 1):
            # Before each: Numba sets PyTorch's number of threads, too.
            torch.set_num_threads(1)
            start = time.process_time()
            found = caller.call(track)
            taken.append(time.process_time() - start)
    except Exception as error:
        return Called(NO_SEQLETS, error=f"{type(error).__name__}: {error}")
    finally:
        torch.set_num_threads(threads)
    return Called(found, min(taken))


def agreement_table(calls: Calls, callers: Mapping[str, Caller] = CALLERS) -> pd.DataFrame:
    """Return, for each track and caller that should equal another, how many calls each has and both have.

    Calls are the same if their start and their end are.
    """
    rows = []
    for track, called in calls.items():
        for name, caller in callers.items():
            if caller.same_as:
                one, other = called[caller.same_as], called[name]
                numbers = {"calls": len(one.spans), "calls_of_other": len(other.spans)}
                numbers["common"] = len(one.spans & other.spans)
                seconds = {"seconds": one.seconds, "seconds_of_other": other.seconds}
                pair = {"track": track, "caller": caller.same_as, "other": name}
                rows.append({**pair, **numbers, **seconds, "error": other.error})
    return pd.DataFrame(rows)


def recovery_table(tracks: Mapping[str, Track], calls: Calls, callers: Mapping[str, Caller] = CALLERS) -> pd.DataFrame:
    """Return, for each track and caller, how well calls with a positive sum agree with the sites.

    A site is found, and a call is right, if they share 4 positions; `false` is the share of calls that share none with
    any site; and `iou` counts positions.
    """
    rows = []
    for name, track in tracks.items():
        for caller, called in calls[name].items():
            found = callers[caller].positive_cores(called.seqlets)
            matched, touched = overlap(found, track.known, SHARED), overlap(found, track.known)
            numbers = {"calls": len(found), **matched._asdict(), "false": 1 - touched.precision}
            rows.append({"track": name, "caller": caller, **numbers, "error": called.error})
    return pd.DataFrame(rows)


def null_table(
    replicates: int = NULLS,
    slow_replicates: int = SLOW_NULLS,
    shape: tuple[int, int] = (ROWS, LENGTH),
    callers: Mapping[str, Caller] = CALLERS,
) -> pd.DataFrame:
    """Return how much is called in noise without a site, where every call is false.

    `calls` are of 10,000 positions; `any` is the share of replicates with a call, which a caller that keeps to a false
    discovery rate lets happen in no more than that share.
    """
    shown = {name: one for name, one in callers.items() if "sorted" not in name}
    return pd.DataFrame(list(_null_rows(replicates, slow_replicates, shape, shown)))


def _null_rows(
    replicates: int, slow_replicates: int, shape: tuple[int, int], callers: Mapping[str, Caller]
) -> Iterator[dict[str, Any]]:
    for noise, kind in NOISES.items():
        tracks = [plant_sites(kind, 1000 + seed, 0, shape) for seed in range(replicates)]
        for name, caller in callers.items():
            called = [call(caller, track) for track in tracks[: slow_replicates if caller.slow else None]]
            counts = np.array([len(caller.positive_cores(one.seqlets)) for one in called if not one.error])
            numbers = {"calls": counts.mean() * 1e4 / np.prod(shape), "any": (counts > 0).mean()} if len(counts) else {}
            errors = sorted({one.error for one in called} - {""})
            yield {"noise": noise, "caller": name, "replicates": len(counts), **numbers, "error": "; ".join(errors)}


def _tables() -> dict[str, pd.DataFrame]:
    tracks = make_tracks()
    calls = call_all(tracks)
    return {"agreement": agreement_table(calls), "recovery": recovery_table(tracks, calls), "null": null_table()}


SUITE = TableSuite(
    name="seqlets",
    title="Seqlet callers",
    question="Do seqlet callers that promise the same call the same, and how much of it is right?",
    tables=_tables,
)
