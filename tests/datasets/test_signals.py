import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlight as sl
from seqlight.datasets.signals import Signals, as_signals

big = pytest.importorskip("pyBigWig")
SIZES = {"chr1": 60, "chr2": 25}


def bigwig(path, values, sizes=SIZES):
    """Write values, a list for each chromosome, with None where there is none."""
    file = big.open(str(path), "w")
    file.addHeader(list(sizes.items()))
    for chrom, track in values.items():
        for at, value in enumerate(track):
            if value is not None:
                file.addEntries([chrom], [at], ends=[at + 1], values=[float(value)])
    file.close()
    return path


def track(length, seed, holes=True):
    rng = np.random.RandomState(seed)
    return [None if holes and rng.random_sample() < 0.2 else int(rng.randint(1, 50)) for _ in range(length)]


def literal(tracks, chrom, first, length, *, bin, reduce, missing, stranded, turned):
    """Return (tracks, bins) as lists, a position at a time."""
    rows = []
    for values in tracks:
        inside = values.get(chrom, [])
        row = [inside[at] if 0 <= at < len(inside) else None for at in range(first, first + length)]
        if turned:
            row.reverse()
        row = [(0.0 if missing == "zero" else float("nan")) if one is None else float(one) for one in row]
        bins = [row[i : i + bin] for i in range(0, length, bin)]
        rows.append([sum(one) / (bin if reduce == "mean" else 1) for one in bins])
    if turned and stranded:
        rows = [rows[i + 1 if i % 2 == 0 else i - 1] for i in range(len(rows))]
    return np.array(rows, dtype=np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    tracks = [{"chr1": track(60, 2 * i), "chr2": track(25, 2 * i + 1)} for i in range(3)]
    tracks.append({"chr1": track(60, 9)})  # nothing on chr2
    paths = [bigwig(folder / f"{i}.bw", values) for i, values in enumerate(tracks)]
    return tracks, paths


@given(
    places=st.lists(
        st.tuples(st.sampled_from(list(SIZES)), st.integers(-30, 80), st.booleans()), min_size=1, max_size=6
    ),
    bin=st.integers(1, 5),
    bins=st.integers(1, 8),
    reduce=st.sampled_from(["sum", "mean"]),
    missing=st.sampled_from(["zero", "nan"]),
    stranded=st.booleans(),
)
def test_every_position_counts_once(files, places, bin, bins, reduce, missing, stranded):
    tracks, paths = files
    signals = Signals(paths, bin=bin, reduce=reduce, missing=missing, stranded=stranded)
    chrom, start, turned = (np.array(one) for one in zip(*places, strict=True))
    found = signals.read(chrom.astype(object), start.astype(np.int64), bin * bins, turned)
    assert found.dtype == np.float32
    assert found.shape == (len(places), 4, bins)
    settings = {"bin": bin, "reduce": reduce, "missing": missing, "stranded": stranded}
    for one, (name, first, other) in zip(found, places, strict=True):
        expected = literal(tracks, name, first, bin * bins, turned=other, **settings)
        np.testing.assert_allclose(one, expected, rtol=1e-6)


def test_the_middle_of_a_window(files):
    assert Signals(files[1], window=10).span(20) == (5, 15)
    assert Signals(files[1]).span(20) == (0, 20)
    assert Signals(files[1], window=3).span(7) == (2, 5)
    with pytest.raises(sl.InputError, match="7 positions cannot be in the middle of windows of 20"):
        Signals(files[1], window=7).span(20)
    with pytest.raises(sl.InputError, match="read at 30 positions of windows of 20"):
        Signals(files[1], window=30).span(20)
    with pytest.raises(sl.InputError, match="windows of 20 positions are no whole number of bins of 3"):
        Signals(files[1], bin=3).span(20)


def test_every_process_reads_for_itself(files):
    signals = Signals(files[1])
    at = (np.array(["chr1"], object), np.array([3]), 40, np.array([False]))
    before = signals.read(*at)
    assert np.array_equal(pickle.loads(pickle.dumps(signals)).read(*at), before)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(signals.read(*at), before) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(signals.read(*at), before)
    assert len(pickle.dumps(signals)) < 5000


def test_another_assembly(files, tmp_path):
    signals = Signals(files[1])
    signals.require_genome(["chr1", "chr2"], SIZES)
    signals.require_genome(["chr1", "chrY"], SIZES | {"chrY": 9})
    with pytest.raises(sl.InputError, match=r"'chr1' has 60 positions in 0.bw and 61 in the genome"):
        signals.require_genome(["chr1"], SIZES | {"chr1": 61})
    with pytest.raises(sl.InputError, match=r"0.bw has 'chr1' for '1': spell both alike"):
        signals.require_genome(["1"], {"1": 60})
    with pytest.raises(sl.InputError, match=r"0.bw has values on 'chr1', 'chr2' ... and on none of the 1"):
        signals.require_genome(["chr5"], {"chr5": 60})


def test_digests_depend_on_content_and_settings_and_not_on_paths(files, tmp_path):
    tracks, paths = files
    same = bigwig(tmp_path / "elsewhere.bw", tracks[0])
    first = Signals(paths[0]).fingerprint()
    assert Signals(same).fingerprint() == first
    others = [Signals(paths[1]), Signals(same, bin=2), Signals(same, reduce="mean"), Signals(same, missing="nan")]
    others += [Signals(same, window=4), Signals([same, paths[1]])]
    assert len({first, *(one.fingerprint() for one in others)}) == 7


def test_bad_calls(files, tmp_path):
    paths = files[1]
    with pytest.raises(sl.InputError, match=r"no file .*nowhere.bw"):
        Signals(tmp_path / "nowhere.bw")
    for options, message in (
        ({"reduce": "max"}, "reduce is 'max'"),
        ({"missing": "drop"}, "missing is 'drop'"),
        ({"bin": 0}, "bin is 0"),
        ({"window": 0}, "window is 0"),
    ):
        with pytest.raises(sl.InputError, match=message):
            Signals(paths, **options)
    with pytest.raises(sl.InputError, match="stranded signals come in pairs, and there are 3"):
        Signals(paths[:3], stranded=True)
    with pytest.raises(sl.InputError, match="no bigWig file in paths"):
        Signals([])
    (tmp_path / "no.bw").write_text("chr1\t1\t2\n")
    with pytest.raises(sl.InputError, match="is no bigWig file"):
        Signals(tmp_path / "no.bw").require_genome(["chr1"], SIZES)
    with pytest.raises(sl.InputError, match="signals is an int"):
        as_signals(3)
    assert len(as_signals(paths)) == 4


@pytest.mark.parametrize("stranded", ["no", None, 1])
def test_stranded_is_yes_or_no(tmp_path, stranded):
    path = bigwig(tmp_path / "a.bw", {"chr1": [1.0]})
    with pytest.raises(sl.InputError, match=r"stranded is .*: expected True or False"):
        Signals([path, path], stranded=stranded)
