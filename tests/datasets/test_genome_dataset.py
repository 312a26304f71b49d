import multiprocessing
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import seqlight as sl
from seqlight.datasets import GenomeDataset, Signals, TrainingOrder
from seqlight.sequence.loci import Loci
from toy_genome import draw, other_strand, window, write_genome

from .test_signals import bigwig, literal

SITE = "TGACTCAGCA"


def spelled(dataset, rows=None):
    found = dataset.batch(range(len(dataset)) if rows is None else rows)
    return sl.characters(found if isinstance(found, torch.Tensor) else found[0], allow_N=True)


def peaks(rows, columns=("chrom", "start", "end", "strand")):
    return pd.DataFrame(rows, columns=list(columns))


def texts(genome, loci):
    return [window(genome, *one) for one in zip(*loci, strict=True)]


@pytest.fixture
def planted(tmp_path):
    """A site at known places, on both strands, and at both ends of a chromosome."""
    text = draw(200, 5, "ACGT")
    for at, site in ((0, SITE), (60, SITE), (120, other_strand(SITE)), (190, other_strand(SITE))):
        text = text[:at] + site + text[at + len(site) :]
    path = write_genome(tmp_path / "planted.fa", {"chr1": text}, 21)
    places = peaks([("chr1", 0, 10, "+"), ("chr1", 60, 70, "+"), ("chr1", 120, 130, "-"), ("chr1", 190, 200, "-")])
    return path, places


def test_planted_sites_are_found(planted):
    dataset = GenomeDataset(*planted)
    assert spelled(dataset) == [SITE] * 4
    wide = GenomeDataset(*planted, window=20)
    # A site at the start of the chromosome has its end on the left, seen from the other strand.
    assert [text.index(SITE) for text in spelled(wide)] == [5] * 4
    assert [text.count("N") for text in spelled(wide)] == [5, 0, 0, 5]
    assert wide.loci.start.tolist() == [-5, 55, 115, 185]
    assert spelled(GenomeDataset(*planted, window=20, ends="drop")) == spelled(wide, [1, 2])


rows_of = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 80), st.integers(1, 9), st.sampled_from("+-.")),
    min_size=1,
    max_size=8,
)


@given(
    rows=rows_of,
    width=st.integers(1, 40),
    jitter=st.integers(0, 9),
    turning=st.booleans(),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 1000),
    ends=st.sampled_from(["pad", "drop"]),
    excluded=st.lists(st.tuples(st.integers(0, 85), st.integers(1, 5)), max_size=3),
)
def test_against_slices_of_strings(tmp_path_factory, rows, width, jitter, turning, seed, epoch, ends, excluded):
    genome = {"chr1": draw(90, 1), "chr2": draw(95, 2)}
    path = write_genome(tmp_path_factory.mktemp("any") / "a.fa", genome)
    regions = peaks([(chrom, start, start + size, strand) for chrom, start, size, strand in rows])
    exclude = peaks([("chr1", start, start + size, "+") for start, size in excluded])
    dataset = GenomeDataset(
        path,
        regions,
        width,
        jitter=jitter,
        reverse_complement=turning,
        seed=seed,
        ends=ends,
        exclude=exclude.astype({"start": int, "end": int}),
    )
    kept, left_out = [], {"chroms": 0, "ends": 0, "exclude": 0}
    for chrom, start, size, strand in rows:
        first = (start + start + size) // 2 - width // 2
        reach = range(first - jitter, first + width + jitter)
        if ends == "drop" and not (reach[0] >= 0 and reach[-1] < len(genome[chrom])):
            left_out["ends"] += 1
        elif chrom == "chr1" and any(at in reach for begin, n in excluded for at in range(begin, begin + n)):
            left_out["exclude"] += 1
        else:
            kept.append((chrom, first, first + width, strand))
    assert dataset.left_out == left_out
    assert dataset.padded == sum(first < 0 or last > len(genome[chrom]) for chrom, first, last, _ in kept)
    assert list(zip(*dataset.loci, strict=True)) == kept
    moved = dataset.loci_in(epoch)
    assert (abs(moved.start - dataset.loci.start) <= jitter).all()
    assert (moved.end - moved.start == width).all()
    if not turning:
        assert [one == "-" for one in moved.strand] == [one == "-" for one in dataset.loci.strand]
    if not kept:
        assert dataset.batch([]).shape == (0, 4, width)
        return
    assert spelled(dataset, [(row, epoch) for row in range(len(kept))]) == texts(genome, moved)
    dataset.set_epoch(epoch)
    assert spelled(dataset) == texts(genome, moved)
    assert sl.characters(dataset[-1], allow_N=True) == texts(genome, moved)[-1]


def test_signals_move_and_turn_with_the_sequence(genome, fasta, tmp_path):
    sizes = {name: len(text) for name, text in genome.items()}
    # The value at a position encodes its letter.
    tracks = [
        {
            name: [10 * i + "ACGTN".find(x if x in "ACGT" else "N") for x in text.upper()]
            for name, text in genome.items()
        }
        for i in (1, 2)
    ]
    paths = [bigwig(tmp_path / f"{i}.bw", values, sizes) for i, values in enumerate(tracks)]
    regions = peaks([("chr1", 100, 130, "+"), ("chr1", 290, 317, "-"), ("chr2", 0, 8, ".")])
    dataset = GenomeDataset(
        fasta,
        regions,
        30,
        signals=Signals(paths, window=20, bin=5, missing="nan", stranded=True),
        jitter=6,
        reverse_complement=True,
        seed=3,
    )
    turned_once = False
    for epoch in range(4):
        loci = dataset.loci_in(epoch)
        X, y = dataset.batch([(row, epoch) for row in range(3)])
        assert sl.characters(X, allow_N=True) == texts(genome, loci)
        assert y.shape == (3, 2, 4)
        assert y.dtype == torch.float32
        for row, (chrom, start, _, strand) in enumerate(zip(*loci, strict=True)):
            settings = {"bin": 5, "reduce": "sum", "missing": "nan", "stranded": True}
            expected = literal(tracks, chrom, start + 5, 20, turned=strand == "-", **settings)
            np.testing.assert_array_equal(y[row], expected)
        turned_once |= loci.strand[0] == "-"
    assert turned_once


def test_labels_are_columns(fasta, tmp_path):
    (tmp_path / "a.bed").write_text("chr2\t50\t60\ta\t0.5\t-\nchr1\t9\t20\tb\t3\t+\nchrX\t9\t20\tb\t7\t+\n")
    dataset = GenomeDataset(fasta, tmp_path / "a.bed", 12, labels="score", chroms=["chr1", "chr2"])
    assert dataset.left_out == {"chroms": 1, "ends": 0, "exclude": 0}
    X, y = dataset.batch([1, 0])
    assert y.tolist() == [3, 0.5]
    assert X.shape == (2, 4, 12)
    both = GenomeDataset(fasta, dataset.regions, 12, labels=["score", "start"])
    assert both[0][1].tolist() == [0.5, 50]
    empty = GenomeDataset(fasta, dataset.regions, 12, labels="score", chroms=["chrX"])
    assert len(empty) == 0
    assert [one.shape for one in empty.batch([])] == [(0, 4, 12), (0,)]


def test_summits(fasta, genome, tmp_path):
    (tmp_path / "a.narrowPeak").write_text(
        "chr1\t100\t200\tp\t0\t.\t5\t3\t2\t17\nchr1\t100\t201\tp\t0\t.\t5\t3\t2\t-1\n"
    )
    assert GenomeDataset(fasta, tmp_path / "a.narrowPeak", 21).loci.start.tolist() == [107, 140]
    assert GenomeDataset(fasta, tmp_path / "a.narrowPeak", 21, at="centre").loci.start.tolist() == [140, 140]


def test_a_file_without_regions(fasta, tmp_path):
    (tmp_path / "a.bed").write_text("# nothing\n")
    dataset = GenomeDataset(fasta, tmp_path / "a.bed", 12, signals=None, labels="score")
    assert len(dataset) == 0
    assert len(dataset.loci.start) == 0
    assert dataset.fingerprint() != GenomeDataset(fasta, peaks([("chr1", 3, 9, "+")]), 12).fingerprint()


def moving(fasta, genome, tmp_path):
    sizes = {name: len(text) for name, text in genome.items()}
    signals = bigwig(tmp_path / "a.bw", {"chr1": list(range(317))}, sizes)
    regions = peaks([("chr1", 20 + 7 * i, 30 + 7 * i, "+-"[i % 2]) for i in range(23)])
    return GenomeDataset(fasta, regions, 24, signals=[signals], jitter=5, reverse_complement=True, seed=1)


def epochs_of(loader, order, n):
    found = []
    for epoch in range(n):
        order.set_epoch(epoch)
        found.append([torch.cat(parts) for parts in zip(*loader, strict=True)])
    return found


@pytest.mark.parametrize(("method", "workers"), [("fork", 1), ("fork", 2), ("spawn", 2)])
def test_workers_change_nothing(fasta, genome, tmp_path, method, workers):
    dataset = moving(fasta, genome, tmp_path)
    order = TrainingOrder(dataset, seed=4)
    alone = epochs_of(DataLoader(dataset, batch_size=4, sampler=order), order, 3)
    assert not torch.equal(alone[0][0], alone[1][0])
    loader = DataLoader(
        dataset,
        batch_size=7,
        sampler=order,
        num_workers=workers,
        multiprocessing_context=method,
        persistent_workers=True,  # workers are started before the first epoch
        generator=torch.Generator(),
    )
    for one, other in zip(alone, epochs_of(loader, order, 3), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    # The loader returns what the dataset returns for these rows.
    order.set_epoch(2)
    assert torch.equal(dataset.batch(list(order))[0], alone[2][0])


def test_ranks_share_one_epoch(fasta, genome, tmp_path):
    dataset = moving(fasta, genome, tmp_path)
    one = TrainingOrder(dataset, seed=4)
    two = [TrainingOrder(dataset, seed=4, rank=rank, world=2) for rank in range(2)]
    for order in (one, *two):
        order.set_epoch(6)
    assert [pair for pairs in zip(*two, strict=True) for pair in pairs][: len(dataset)] == list(one)


def _sum(dataset, queue):
    queue.put(int(dataset.batch([0, 5])[0].sum()) + len(dataset))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_what_was_read_before(fasta, genome, tmp_path, method):
    dataset = moving(fasta, genome, tmp_path)
    expected = int(dataset.batch([0, 5])[0].sum()) + len(dataset)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_sum, args=(dataset, queue))
    process.start()
    assert queue.get(timeout=120) == expected
    process.join(timeout=60)
    assert process.exitcode == 0


def test_it_can_be_pickled(fasta, genome, tmp_path):
    dataset = moving(fasta, genome, tmp_path)
    X, y = dataset.batch([(3, 2), (4, 2)])
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again.batch([(3, 2), (4, 2)])[0], X)
    assert torch.equal(again.batch([(3, 2), (4, 2)])[1], y)
    assert again.fingerprint() == dataset.fingerprint()


def test_fingerprints_depend_on_what_matters(genome, tmp_path):
    one, other = tmp_path / "a.fa", tmp_path / "b.fa"
    write_genome(one, genome), write_genome(other, genome)
    regions = peaks([("chr1", 100, 130, "+"), ("chr2", 40, 70, "-")], ("chrom", "start", "end", "strand"))
    regions["score"] = [1.0, 2.0]
    first = GenomeDataset(one, regions, 20).fingerprint()
    regions.to_csv(tmp_path / "a.bed", sep="\t", header=False, index=False)
    assert GenomeDataset(other, Loci(*(regions[name].to_numpy() for name in Loci._fields)), 20).fingerprint() == first
    assert GenomeDataset(other, regions, 20, seed=9).fingerprint() == first
    settings = [
        {"window": 22},
        {"window": 20, "labels": "score"},
        {"window": 20, "jitter": 1},
        {"window": 20, "reverse_complement": True},
        {"window": 20, "reverse_complement": True, "seed": 1},
        {"window": 20, "chroms": ["chr1"]},
    ]
    found = {first, *(GenomeDataset(one, regions, **options).fingerprint() for options in settings)}
    found.add(GenomeDataset(one, regions[::-1], 20).fingerprint())
    assert len(found) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window is 0"),
        ({"jitter": -1}, "jitter is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"at": "start"}, "at is 'start'"),
        ({"ends": "wrap"}, "ends is 'wrap'"),
        ({"labels": "value"}, "no column 'value' for labels: they have chrom, start, end, strand"),
        ({"labels": "chrom"}, "'chrom' holds a str: expected numbers"),
        ({"chroms": ["chr5"]}, "'chr5' is not in the genome"),
        ({"exclude": pd.DataFrame({"chrom": ["1"], "start": [1], "end": [2]})}, "it has 'chr1'"),
        ({"labels": "start", "signals": "a.bw"}, "give one"),
    ],
)
def test_bad_calls(fasta, options, message):
    with pytest.raises(sl.InputError, match=message):
        GenomeDataset(fasta, peaks([("chr1", 100, 130, "+")]), **{"window": 20} | options)
    with pytest.raises(sl.InputError, match="region 0, chr1:400-500, is off its chromosome of 317"):
        GenomeDataset(fasta, peaks([("chr1", 400, 500, "+")]), 20)


def test_rows_that_are_not_there(fasta):
    dataset = GenomeDataset(fasta, peaks([("chr1", 100, 130, "+")]), 20)
    with pytest.raises(IndexError, match="row 1 of 1"):
        dataset[1]
    with pytest.raises(IndexError, match="row -2 of 1"):
        dataset.batch([-2])
    assert len(list(dataset)) == 1


def test_background_and_peaks(fasta, tmp_path):
    (tmp_path / "background.bed").write_text("chr1\t9\t20\n")
    (tmp_path / "peaks.bed").write_text("chr2\t50\t60\nchr1\t59\t80\n")
    dataset = GenomeDataset(fasta, [tmp_path / "background.bed", tmp_path / "peaks.bed"], 12, labels="source")
    assert dataset.batch(range(3))[1].tolist() == [0, 1, 1]


def test_windows_and_signals_are_those_of_tangermeme(genome, fasta, tmp_path):
    extract = pytest.importorskip("tangermeme.io").extract_loci
    sizes = {name: len(text) for name, text in genome.items()}
    values = {name: list(np.random.RandomState(len(text)).randint(1, 9, len(text))) for name, text in genome.items()}
    path = bigwig(tmp_path / "a.bw", values, sizes)
    plain = {name: "".join(x if x in "ACGTacgt" else "N" for x in text) for name, text in genome.items()}
    clean = write_genome(tmp_path / "clean.fa", plain)
    regions = peaks([("chr1", 10 * i, 10 * i + 7 + i, "+") for i in range(25)])
    for width, out in ((21, 11), (20, 10)):
        theirs = extract(regions[["chrom", "start", "end"]], str(clean), [str(path)], in_window=width, out_window=out)
        ours = GenomeDataset(clean, regions, width, signals=Signals(path, window=out), ends="drop")
        X, y = ours.batch(range(len(ours)))
        assert torch.equal(X, theirs[0].to(X.dtype))
        assert torch.equal(y, theirs[1].to(y.dtype))


@pytest.mark.reliability(
    "narrowPeak files",
    "GenomeDataset around peaks of which one has its summit outside of its region",
    "an error that names the line; format='bed' centres all",
)
def test_summits_are_not_lost(fasta, tmp_path):
    peak = "chr1\t{}\t{}\tp\t0\t.\t1\t1\t1\t{}\n"
    path = tmp_path / "p.narrowPeak"
    path.write_text(peak.format(100, 200, 17) + peak.format(100, 200, 100) + peak.format(100, 200, -1))
    with pytest.raises(sl.InputError, match=r"p\.narrowPeak, line 2: chr1:100-200 has its summit outside"):
        GenomeDataset(fasta, path, 21)
    assert GenomeDataset(fasta, path, 21, format="bed").loci.start.tolist() == [140, 140, 140]
    assert len(GenomeDataset(fasta, [(fasta.parent / "p.narrowPeak")], 21, format="bed3")) == 3
    # Excluded regions have no windows, and so no summits.
    assert GenomeDataset(fasta, path, 21, format="bed", exclude=path).left_out["exclude"] == 3
    table = sl.Loci(*(np.array([one]) for one in ("chr1", 3, 9, "+")))
    with pytest.raises(sl.InputError, match="format is 'narrowpeak'"):
        GenomeDataset(fasta, table, 21, format="narrowpeak")


@pytest.mark.reliability("BED files", "exclude= with a byte-order mark", "its first line excludes too")
def test_a_byte_order_mark_hides_no_line(fasta, tmp_path):
    (tmp_path / "a.bed").write_bytes(b"\xef\xbb\xbfchr1\t100\t110\r\nchr1\t200\t210\r\n")
    dataset = GenomeDataset(fasta, tmp_path / "a.bed", 20, exclude=[tmp_path / "a.bed"])
    assert dataset.left_out["exclude"] == 2
    assert GenomeDataset(fasta, tmp_path / "a.bed").loci.start.tolist() == [100, 200]


def test_chromosomes_that_are_numbers(tmp_path):
    path = write_genome(tmp_path / "a.fa", {"1": "ACGTACGT", "2": "ACGTACGT"})
    table = pd.DataFrame({"chrom": [1, 2, 2], "start": [0, 3, 4], "end": [4, 7, 8]})
    dataset = GenomeDataset(path, table, chroms=[2], exclude=table.iloc[2:].assign(start=7))
    assert dataset.regions["chrom"].tolist() == dataset.loci.chrom.tolist() == ["2"]
    assert dataset.left_out == {"chroms": 1, "ends": 0, "exclude": 1}
    with pytest.raises(sl.InputError, match="'3' is not in the genome"):
        GenomeDataset(path, table, chroms=np.array([2, 3]))
    with pytest.raises(sl.InputError, match="chroms is an int"):
        GenomeDataset(path, table, chroms=2)


@pytest.mark.reliability(
    "genome data", "labels that are complex, not names, or empty; a string for reverse_complement", "an error"
)
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"labels": []}, r"labels is \[\]: expected the name of a column"),
        ({"labels": 3}, "labels is 3: expected the name of a column"),
        ({"labels": "n"}, "the column 'n' holds a complex"),
        ({"reverse_complement": "no"}, "reverse_complement is 'no': expected True or False"),
        ({"reverse_complement": None}, "reverse_complement is None: expected True or False"),
    ],
)
def test_settings_of_another_kind(fasta, settings, said):
    table = pd.DataFrame({"chrom": ["chr1"], "start": [1], "end": [9], "n": [1j]})
    with pytest.raises(sl.InputError, match=said):
        GenomeDataset(fasta, table, 8, **settings)


def test_ignored_summits_warn(fasta):
    table = pd.DataFrame({"chrom": ["chr1"], "start": [10], "end": [50], "peak": [3]})
    with pytest.warns(sl.SeqlightWarning, match="the column 'peak' of the regions is not read"):
        GenomeDataset(fasta, table, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GenomeDataset(fasta, table, 8, at="centre"), GenomeDataset(fasta, table)
