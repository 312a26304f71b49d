import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqlight as sl
from seqlight.errors import InputError
from seqlight.formats.jaspar_reader import is_jaspar, read_jaspar
from seqlight.formats.motifs import as_motifs, nucleotide_motifs
from seqlight.motifs.known_motifs import open_motifs

# Two motifs of the same letters, in each way of writing them.
COUNTS = {
    "MA0004.1 Arnt": [[4, 19, 0], [16, 0, 20], [0, 1, 0], [0, 0, 0]],
    "MA0006.1 Ahr": [[3, 0], [8, 0], [2, 23], [11, 1]],
}
JASPAR = "\n\n".join(
    "\n".join(
        [
            f">{name.replace(' ', chr(9))}",
            *(f"{letter}  [{'  '.join(map(str, row))} ]" for letter, row in zip("ACGT", rows, strict=True)),
        ]
    )
    for name, rows in COUNTS.items()
)
PFM = "\n".join(
    "\n".join([f">{name}", *("\t".join(f"{n:6.2f}" for n in row) for row in rows)]) for name, rows in COUNTS.items()
)
PCM = "\n".join(
    "\n".join([f">{name}", *("\t".join(map(str, row)) for row in zip(*rows, strict=True))])
    for name, rows in COUNTS.items()
)


@pytest.fixture
def write(tmp_path):
    def write(content, name="a.jaspar"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("text", [JASPAR, PFM, PCM, JASPAR.replace("\n", "\r\n"), f"# a comment\n\n{JASPAR}"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_spelling_has_the_same_motifs(write, text, packed):
    path = write(gzip.compress(text.encode()) if packed else text)
    for found in (read_jaspar(path), as_motifs(path), nucleotide_motifs(str(path)), open_motifs(str(path))):
        assert list(found) == list(COUNTS)
        for name, rows in COUNTS.items():
            np.testing.assert_allclose(found[name], np.array(rows) / np.sum(rows, axis=0), rtol=1e-12)


@pytest.mark.reliability(
    "motif files", "one in JASPAR's own format, or as HOCOMOCO has them", "the same names as by the MEME file"
)
def test_seqlets_get_the_names_that_the_meme_file_gives(write, tmp_path):
    rng = np.random.default_rng(0)
    motifs = {f"MA{i} m{i}": rng.multinomial(20, rng.dirichlet([0.3] * 4), size=8).T / 20 for i in range(30)}
    motifs["MA99 AP1"] = sl.one_hot_encode("TGACTCA").double().numpy()
    sl.write_meme(tmp_path / "a.meme", motifs)
    rows = ("\n".join(" ".join(f"{n:g}" for n in row) for row in motif * 20) for motif in motifs.values())
    jaspar = write("".join(f">{name}\n{text}\n" for name, text in zip(motifs, rows, strict=True)), "a.pfm")
    X = sl.one_hot_encode("ATGACTCATG")[None]
    seqlets = pd.DataFrame({"example_idx": [0], "start": [1], "end": [8]})
    found = [sl.annotate_seqlets(X, seqlets, path) for path in (tmp_path / "a.meme", jaspar)]
    pd.testing.assert_frame_equal(*found)
    assert found[0]["motif"].tolist() == ["MA99 AP1"]


def test_rows_may_be_in_any_order_without_brackets_and_of_rna(write):
    found = read_jaspar(write(">a\nu 1 0\nG 0 0\nC| 0 4\nA[1 0]\n"))
    assert found["a"].tolist() == [[0.5, 0], [0, 1], [0, 0], [0.5, 0]]


def test_a_file_without_headings_is_named_by_its_file(write):
    text = "0 3\n10 0\n0 7\n0 0\n"
    assert read_jaspar(write(text, "MA0004.1.pfm"))["MA0004.1"].tolist() == [[0, 0.3], [1, 0], [0, 0.7], [0, 0]]
    assert list(as_motifs(write(gzip.compress(text.encode()), "MA0004.1.pfm.gz"))) == ["MA0004.1"]


def test_statistics_behind_the_name_are_left_out_as_homer_has_them(write):
    text = ">TA\t1-TA(bZIP)\t8.05\t-237.1\t0\tT:1\n0.001\t0.001\t0.001\t0.997\n0.997\t0.001\t0.001\t0.001\n"
    found = read_jaspar(write(text))
    assert found["TA 1-TA(bZIP)"].tolist() == [[0.001, 0.997], [0.001, 0.001], [0.001, 0.001], [0.997, 0.001]]


def test_four_rows_of_four_are_read_as_the_others_of_the_file_or_as_their_sums_say(write):
    square = [[9, 0, 1, 5], [1, 0, 4, 3], [0, 0, 5, 1], [0, 10, 0, 1]]  # columns sum to 10
    text, turned = ("\n".join(" ".join(map(str, row)) for row in rows) for rows in (square, np.transpose(square)))
    expected = (np.array(square) / 10).tolist()
    assert read_jaspar(write(f">a\n{text}"))["a"].tolist() == expected
    assert read_jaspar(write(f">a\n{turned}"))["a"].tolist() == expected
    same = ">a\n" + "10 0 0 0\n0 10 0 0\n0 0 0 10\n0 0 10 0\n"
    with pytest.raises(InputError, match="line 1: motif 'a' has four rows of four numbers, which may stand for"):
        read_jaspar(write(same))
    assert read_jaspar(write(f"{same}>b\n1 2 3 4\n"))["a"].argmax(axis=0).tolist() == [0, 1, 3, 2]
    assert read_jaspar(write(f"{same}>b\n1\n2\n3\n4\n"))["b"].tolist() == [[0.1], [0.2], [0.3], [0.4]]


@given(
    st.integers(1, 9).flatmap(
        lambda w: st.lists(st.lists(st.integers(0, 999), min_size=w, max_size=w), min_size=4, max_size=4)
    )
)
@settings(max_examples=30)
def test_counts_become_frequencies(tmp_path_factory, rows):
    rows[0] = [n + 1 for n in rows[0]]  # no position without a count
    path = tmp_path_factory.getbasetemp() / "drawn.jaspar"
    path.write_text(
        ">a b\n" + "\n".join(f"{one} [ {' '.join(map(str, row))} ]" for one, row in zip("ACGT", rows, strict=True))
    )
    np.testing.assert_allclose(read_jaspar(path)["a b"] * np.sum(rows, axis=0), rows, rtol=1e-12)


def test_jaspars_own_package_reads_the_same(write):
    motifs = pytest.importorskip("Bio.motifs")
    path = write(JASPAR)
    with path.open() as file:
        theirs = motifs.parse(file, "jaspar")
    for motif in theirs:
        mine = read_jaspar(path)[f"{motif.matrix_id} {motif.name}"]
        np.testing.assert_allclose(mine, [motif.pwm[letter] for letter in "ACGT"], rtol=1e-12)


@pytest.mark.reliability(
    "motif files", "a malformed line in JASPAR's format, or scores instead of counts", "an error with the line"
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", " holds no motif: expected headings"),
        (">a\n>b\n1\n1\n1\n1\n", ", line 1: motif 'a' has no rows"),
        (">a\n1\n1\n1\n1\n>b\n", ", line 6: motif 'b' has no rows"),
        (">\n1 2\n", ", line 1: a motif has no name"),
        (">a\nACGTACGT\n", ", line 2: motif 'a' holds 'ACGTACGT': expected a row of numbers"),
        (">a\nA [ 1 x ]\n", ", line 2: motif 'a' holds 'x'"),
        (">a\nA [ ]\n", ", line 2: motif 'a' holds 'A \\[ \\]'"),
        (">a\n1 2\n1\n", ", line 3: motif 'a' has 1 numbers in a row, and 2 in its first"),
        (">a\nA 1 2\n1 2\n", ", line 3: motif 'a' has rows with and without a letter"),
        (">a\nA 1\nC 1\nG 1\n", ", line 1: motif 'a' has rows for A, C, G: expected A, C, G and T"),
        (">a\n1 2 3\n4 5 6\n", ", line 1: motif 'a' has 2 rows of 3 numbers: expected four rows"),
        (">a\n-1 2 0 0\n", ", line 1: motif 'a' holds numbers below 0, as scores do"),
        (">a\nnan 2 0 0\n", ", line 1: motif 'a' holds NaN"),
        (">a\n1 0 0 0\n0 0 0 0\n", ", line 1: motif 'a' sums to 0 at position 2"),
        (">a\n1 0 0 0\n>a\n1 0 0 0\n", ", line 3: a second motif is named 'a'"),
    ],
)
def test_malformed_files(write, text, message):
    with pytest.raises(InputError, match=rf"a\.jaspar{message}"):
        read_jaspar(write(text))


def test_other_files_are_left_to_the_meme_reader(write):
    for text in ("MEME version 4\n\nALPHABET= ACGT\n", "nothing\n", "", "AC x\nXX\n"):
        assert not is_jaspar(write(text))
    with pytest.raises(InputError, match="databases that have TRANSFAC files have them in MEME format too"):
        as_motifs(write("AC x\nID x\nP0  A  C  G  T\n01 1 2 3 4 N\nXX\n//\n"))
