import numpy as np
import pytest
import torch

import seqlight as sl
from results_folders import attribution_arrays, loci_of, write_results
from seqlight.lit import DeepLiftShapModule
from seqlight.results.row_names import write_row_names


def records(path):
    return [one.split("\n", 1) for one in path.read_text().split(">")[1:]]


def test_windows_are_in_the_order_of_rows(tmp_path):
    loci = loci_of(6)
    loci.start[0] = -10
    path = sl.export(write_results(tmp_path, attribution_arrays(6), loci), "bed")["bed"][0]
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    assert lines[0] == ["chr1", "0", "30", "chr1:-10-30(+)", "0", "+"]
    assert [int(line[1]) for line in lines[1:]] == loci.start[1:].tolist()
    assert [line[5] for line in lines] == loci.strand.tolist()
    assert len(sl.read_bed(path).chrom) == 6


def test_sequences(tmp_path):
    arrays = attribution_arrays(6, length=100)
    arrays["sequences"][2, :, 7] = 0
    path = sl.export(write_results(tmp_path, arrays), "fasta")["fasta"][0]
    found = records(path)
    assert [name for name, _ in found] == [f"row_{i}" for i in range(6)]
    spelled = sl.characters(torch.from_numpy(arrays["sequences"]), allow_N=True)
    assert ["".join(text.split()) for _, text in found] == spelled
    assert max(map(len, path.read_text().splitlines())) == 80


def test_windows_that_occur_twice_have_names_of_their_own(tmp_path):
    loci = loci_of(6, step=0)
    path = sl.export(write_results(tmp_path, attribution_arrays(6), loci), "fasta")["fasta"][0]
    assert [name for name, _ in records(path)][:2] == ["chr1:0-30(+).row_0", "chr1:0-30(-).row_1"]


def test_other_letters_need_their_alphabet(tmp_path):
    X = np.eye(5, dtype=np.int8)[None]
    results = write_results(tmp_path, {"attributions": X.astype(np.float32), "sequences": X})
    with pytest.raises(sl.InputError, match="sequences has 5 letters, and FASTA spells them: give their `alphabet`"):
        sl.export(results, "fasta")
    with pytest.raises(sl.InputError, match="the alphabet ACG has 3 letters and sequences 5"):
        sl.export(results, "fasta", alphabet="ACG")
    assert records(sl.export(results, "fasta", alphabet="ABCDE")["fasta"][0]) == [["row_0", "ABCDE\n"]]


def test_records_have_the_names_and_letters_of_the_data(tmp_path):
    X = np.zeros((2, 20, 3), np.int8)
    X[0, [0, 1, 2], [0, 1, 2]] = 1
    results = write_results(tmp_path, {"attributions": X.astype(np.float32), "sequences": X})
    write_row_names(tmp_path, ["sp|P1 kinase", "b"], results.manifest)
    results = sl.open_results(tmp_path)
    # Of twenty letters, those of proteins, with X for an unknown one.
    assert records(sl.export(results, "fasta")["fasta"][0]) == [["sp|P1_kinase", "ACD\n"], ["b", "XXX\n"]]


def test_chromosomes_that_no_bed_file_can_hold(tmp_path):
    loci = loci_of(3)._replace(chrom=np.array(["chr1", "track 1", "chr1"]))
    with pytest.raises(sl.InputError, match="the chromosome 'track 1' would not be read back"):
        sl.export(write_results(tmp_path, attribution_arrays(3), loci), "bed")


def test_sequences_are_spelled_in_the_letters_of_their_data(tmp_path):
    (tmp_path / "a.fa").write_text(">a\nACGU\n>b\nACNT\n")
    data = sl.FastaDataset(tmp_path / "a.fa", alphabet="RNA")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 1))
    module = DeepLiftShapModule(model, keep=("sequences",), references=torch.zeros(2, 1, 4, 4))
    results = sl.run(module, data, tmp_path / "out", accelerator="cpu", devices=1, progress=False)
    assert records(sl.export(results, "fasta")["fasta"][0]) == [["a", "ACGU\n"], ["b", "ACNU\n"]]
