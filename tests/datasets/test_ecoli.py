"""The translation starts: what each window holds, that nothing leaks, and that the builder cuts rightly."""

import importlib.util
import itertools
import json
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from labelled_splits import assert_one_hot_with_labels
from seqlight.datasets.ecoli import MOTIF_END, MOTIF_START, load_ecoli_starts, read_ecoli_starts
from seqlight.errors import InputError

SPLITS = ("train", "valid", "test")
START = 40


@pytest.fixture(scope="module")
def data():
    return load_ecoli_starts(seed=0)


@pytest.fixture(scope="module")
def builder():
    path = Path(__file__).parents[2] / "benchmarks" / "build_ecoli_starts.py"
    spec = importlib.util.spec_from_file_location("build_ecoli_starts", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def pairs(X, end=START):
    """How often each letter follows each other one before `end`, shape (rows, 4, 4)."""
    X = X[:, :, :end].float()
    return torch.einsum("nap,nbp->nab", X[:, :, :-1], X[:, :, 1:])


@pytest.mark.parametrize("name", SPLITS)
def test_shapes_and_types(data, name):
    split = getattr(data, name)
    assert_one_hot_with_labels(split, len(split.X), 60)


def test_sizes(data):
    assert [int(getattr(data, name).y.sum()) for name in SPLITS] == [1380, 298, 283]
    assert [len(getattr(data, name).y) for name in SPLITS] == [4 * 1380, 2 * 298, 2 * 283]


@pytest.mark.parametrize("name", SPLITS)
def test_every_row_has_the_start_codon(data, name):
    codon = getattr(data, name).X[:, :, START : START + 3].argmax(1)
    assert (codon == torch.tensor([0, 3, 2])).all()


@pytest.mark.parametrize("name", SPLITS)
def test_a_negative_is_its_positive_shuffled_upstream(data, name):
    split = getattr(data, name)
    n = int(split.y.sum())
    positive, negative = split.X[:n], split.X[n:]
    assert (split.y[:n] == 1).all()
    assert (split.y[n:] == 0).all()
    source = torch.searchsorted(split.ids[:n].contiguous(), split.ids[n:])
    assert torch.equal(split.ids[source], split.ids[n:])
    assert torch.equal(negative[:, :, START:], positive[source][:, :, START:])
    assert torch.equal(pairs(negative), pairs(positive[source]))
    assert torch.equal(pairs(negative, 60), pairs(positive[source], 60))
    moved = (negative != positive[source]).any(1).float().mean(0)
    # The ends stay in every dinucleotide shuffle: the first base and the last two.
    assert (moved[1 : START - 2] > 0.4).all()


def test_the_sites_are_the_positives(data):
    sites = read_ecoli_starts()
    for name in SPLITS:
        split = getattr(data, name)
        n = int(split.y.sum())
        assert torch.equal(split.X[:n], sites.X[split.ids[:n]])


def test_splits_are_blocks_of_the_genome(data):
    first, last = read_ecoli_starts().spans()
    assert (first >= 0).all()
    assert (last - first == 59).all()
    blocks = [getattr(data, name).ids.unique().numpy() for name in SPLITS]
    for before, after in itertools.pairwise(blocks):
        assert last[before].max() < first[after].min()
    assert last.max() < read_ecoli_starts().genome_length


def test_no_window_is_nearly_another():
    X = read_ecoli_starts().X.float()
    same = torch.einsum("nap,map->nm", X, X).fill_diagonal_(0)
    assert same.max() < 40


def test_the_motif_is_where_biology_has_it(data):
    split = data.train
    n = int(split.y.sum())
    assert (MOTIF_START, MOTIF_END) == (22, 37)
    motifs = split.motifs
    assert np.array_equal(motifs.example_idx, np.arange(n))
    assert set(motifs.start) == {22}
    assert set(motifs.end) == {37}
    assert [data.motif_names[i] for i in set(motifs.motif)] == ["Shine-Dalgarno"]
    core = torch.nn.functional.one_hot(torch.tensor([0, 2, 2, 0]), 4).T.float()[None]  # AGGA
    hits = torch.nn.functional.conv1d(split.X.float(), core)[:, 0] == 4
    inside = hits[:, MOTIF_START : MOTIF_END - 3].any(1)
    assert inside[:n].float().mean() > 3 * inside[n:].float().mean()


def test_seeds():
    one, same, other = (load_ecoli_starts(seed=seed, train_shuffles=1) for seed in (0, 0, 1))
    for name in SPLITS:
        a, b, c = (getattr(one, name), getattr(same, name), getattr(other, name))
        n = int(a.y.sum())
        assert torch.equal(a.X, b.X)
        assert torch.equal(a.X[:n], c.X[:n])
        assert not torch.equal(a.X[n:], c.X[n:])


def test_more_shuffles_add_to_fewer(data):
    one = load_ecoli_starts(seed=0, train_shuffles=1)
    assert torch.equal(data.train.X[: len(one.train.X)], one.train.X)
    assert torch.equal(data.test.X, one.test.X)


@pytest.mark.parametrize("options", [{"train_shuffles": 0}, {"train_shuffles": 1.5}, {"seed": -1}, {"seed": None}])
def test_unusable_options(options):
    with pytest.raises(InputError, match=next(iter(options))):
        load_ecoli_starts(**options)


def test_the_file_is_small_and_says_where_it_is_from(data):
    file = resources.files("seqlight.datasets").joinpath("ecoli_starts.npz")
    assert len(file.read_bytes()) < 200_000
    record = json.loads(data.provenance)
    assert record["accession"] == "NC_008253.1"
    assert len(record["fasta_sha256"]) == 64
    assert record["package"].startswith("bowtie-examples ")
    assert record["counts"] == {
        "open_frames": 2097, "without_shadows": 1978, "whole_windows": 1978, "without_copies": 1961,
    }  # fmt: skip
    assert "/" not in record["command"].replace("benchmarks/build_ecoli_starts.py", "")


# A stop, the leader, and a gene of 6 codons and a second ATG; nothing else is open.
UP = "TAA" + "CCG" * 20
GENE = "ATGAAACTGATGCTGCTG" + "TAA"
DOWN = "CTAGCTAGCTAG" * 5


def test_open_frames_on_both_strands(builder):
    genome = UP + GENE + DOWN
    forward = builder.open_frames(genome, 1, min_codons=6)
    assert forward == [builder.Frame(63, 84, 1)]
    other = builder.reverse_complement(genome)
    backward = builder.open_frames(builder.reverse_complement(other), -1, min_codons=6)
    assert backward == [builder.Frame(63, 84, -1)]
    assert backward[0].span(len(other)) == (len(other) - 84, len(other) - 63)
    at = builder.start_position(backward[0], len(other))
    assert builder.reverse_complement(other[at - 2 : at + 1]) == "ATG"


def test_a_frame_needs_its_length_and_both_stops(builder):
    genome = UP + GENE + DOWN
    assert builder.open_frames(genome, 1, min_codons=7) == []
    assert builder.open_frames(genome[3:], 1, min_codons=6) == []
    assert builder.open_frames(UP + GENE[:-3], 1, min_codons=6) == []


def test_only_the_longest_of_overlapping_frames_stays(builder):
    gene = builder.Frame(100, 1300, 1)
    shadow = builder.Frame(2000 - 1200, 2000 - 200, -1)
    neighbour = builder.Frame(1296, 2000, 1)
    assert builder.without_shadows([shadow, neighbour, gene], 2000) == [gene, neighbour]


def test_windows_stay_inside(builder):
    genome = "ACGT" * 30
    assert builder.cut_window(genome, builder.Frame(40, 90, 1)) == genome[:60]
    assert builder.cut_window(genome, builder.Frame(39, 90, 1)) is None
    assert builder.cut_window(genome, builder.Frame(100, 112, 1)) == genome[60:]
    assert builder.cut_window(genome, builder.Frame(101, 113, 1)) is None
    assert builder.cut_window("N" + genome[1:], builder.Frame(40, 90, 1)) is None


def test_copies_are_left_out(builder):
    codes = np.random.RandomState(0).randint(0, 4, size=(5, 60)).astype(np.uint8)
    codes[3] = codes[1]
    codes[3, :20] = (codes[1, :20] + 1) % 4
    codes[4] = codes[0]
    codes[4, :21] = (codes[0, :21] + 1) % 4
    assert builder.first_of_kind(codes).tolist() == [0, 1, 2, 4]


def test_a_whole_tiny_genome(builder):
    second = "TAA" + "GCC" * 20 + "ATGGCAGCAGCAGCAGCAGCATAG" + DOWN
    genome = UP + GENE + DOWN + builder.reverse_complement(second)
    codes, position, strand, counts = builder.find_starts(genome, min_codons=6)
    assert strand.tolist() == [1, -1]
    assert position.tolist() == [63, len(genome) - 1 - 63]
    assert counts == {"open_frames": 2, "without_shadows": 2, "whole_windows": 2, "without_copies": 2}
    spelled = ["".join("ACGT"[code] for code in row) for row in codes]
    assert spelled == [genome[23:83], second[23:83]]


def test_the_fasta_has_one_record(builder):
    assert builder.read_fasta(b">name of it\nacg\nTTA\n") == ("name of it", "ACGTTA")
    for wrong in (b"ACGT\n", b">a\nAC\n>b\nGT\n"):
        with pytest.raises(SystemExit, match="one FASTA record"):
            builder.read_fasta(wrong)
