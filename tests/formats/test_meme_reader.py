import contextlib
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.errors import InputError
from seqlight.formats.meme_reader import read_meme
from seqlight.formats.meme_writer import write_meme

HEAD = "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n"
BACKGROUND = "Background letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n\n"
GATA = "0 0 1 0\n1 0 0 0\n0 0 0 1\n1 0 0 0\n"
PROTEIN = "ACDEFGHIKLMNPQRSTVWY"


def matrix(rows=GATA, attributes="alength= 4 w= 4 nsites= 20 E= 0"):
    return f"letter-probability matrix: {attributes}\n{rows}"


@pytest.fixture
def read(tmp_path):
    def read(text, encoding="utf-8"):
        path = tmp_path / "a.meme"
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return read_meme(path)

    return read


def spelled(motif, letters="ACGT"):
    return "".join(letters[i] for i in motif.argmax(axis=0))


@pytest.mark.reliability("motif files", "no `w=`, `nsites=`, `E=` or `alength=` behind the matrix", "read")
@pytest.mark.parametrize(
    "attributes", ["", "alength= 4", "alength=4 w=4", "w= 4", "nsites= 20", "alength=4, w=4, E=1e-9"]
)
def test_lines_that_may_follow_a_matrix(read, attributes):
    found = read(
        HEAD + BACKGROUND + "MOTIF one alt\n" + matrix(attributes=attributes) + "URL http://a\nMOTIF two\n" + matrix()
    )
    assert list(found) == ["one alt", "two"]
    assert {spelled(motif) for motif in found.values()} == {"GATA"}


@pytest.mark.reliability("motif files", "gzipped; Windows or old Mac line ends; a byte-order mark", "read")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_how_a_file_is_written(read, end, mark):
    text = (mark + HEAD + "MOTIF one\n" + matrix()).replace("\n", end)
    for content in (text, gzip.compress(text.encode())):
        assert spelled(read(content)["one"]) == "GATA"


@pytest.mark.reliability("motif files", "a comment or a name in Latin-1", "read")
def test_latin_1(read):
    found = read(HEAD + "# Frequenzen aus Köln\nMOTIF Kröt\n" + matrix(), encoding="latin-1")
    assert list(found) == ["Kröt"]


@pytest.mark.reliability(
    "motif files", "an alphabet in another order, of RNA, of proteins, or in small letters", "rows by letter"
)
@pytest.mark.parametrize(
    ("line", "letters", "wanted"),
    [
        ("ALPHABET= ACGT", "ACGT", "ACGT"),
        ("ALPHABET= TGCA", "TGCA", "ACGT"),
        ("ALPHABET=acgt", "ACGT", "ACGT"),
        ("ALPHABET= DNA", "ACGT", "ACGT"),
        ("ALPHABET= ACGU", "ACGU", "ACGU"),
        ("ALPHABET= UGAC", "UGAC", "ACGU"),
        (f"ALPHABET= {PROTEIN}", PROTEIN, PROTEIN),
        (f"ALPHABET= {PROTEIN[::-1]}", PROTEIN[::-1], PROTEIN),
        ("ALPHABET= A1aC", "A1aC", "ACa1"),
    ],
)
def test_alphabets(read, line, letters, wanted):
    numbers = np.random.RandomState(0).dirichlet(np.ones(len(letters)), size=3)
    rows = "".join(" ".join(map(repr, row)) + "\n" for row in numbers.tolist())
    found = read(f"MEME version 4\n{line}\nMOTIF a\n" + matrix(rows, f"alength= {len(letters)} w= 3"))["a"]
    np.testing.assert_array_equal(found, numbers.T[[letters.index(letter) for letter in wanted]])


CUSTOM = r"""MEME version 5.0.1

ALPHABET "DNA, \"modified\" = ~ # one" DNA-LIKE  # a comment
# Core symbols
T "Thymine" 008000 ~ A "Adenine" CC0000
C "Cytosine" 0000CC ~ G "Guanine: ~ =" FFB300
m "5-Methylcytosine" ~ 1
R = AG
N "Any # base" 000000 = ACGT
END ALPHABET

strands: +
"""


@pytest.mark.reliability(
    "motif files", "an alphabet of its own, with modified bases", "rows in the order of MEME's programs"
)
def test_a_definition_of_an_alphabet(read):
    # MEME's own order of symbols, also that of the columns, whatever the order of the definition.
    rows = "".join(" ".join("1" if i == j else "0" for i in range(6)) + "\n" for j in range(6))
    text = CUSTOM + "MOTIF a\n" + matrix(rows, "alength= 6 w= 6")
    np.testing.assert_array_equal(read(text)["a"], np.eye(6))
    with pytest.raises(InputError, match="line 17: motif 'a' has 4 numbers in a row: expected 6, for ACGTm1"):
        read(CUSTOM + "\n\nMOTIF a\n" + matrix(attributes=""))


def test_without_an_alphabet_the_number_of_letters_says(read):
    row = " ".join(["0.05"] * 20) + "\n"
    found = read("MEME version 4\nMOTIF a\n" + matrix(row, "") + "MOTIF b\n" + matrix())
    assert [motif.shape for motif in found.values()] == [(20, 1), (4, 4)]
    with pytest.raises(InputError, match="line 4: motif 'a' has 5 letters: expected an ALPHABET line"):
        read("MEME version 4\nMOTIF a\n" + matrix("0.2 0.2 0.2 0.2 0.2\n", ""))
    with pytest.raises(InputError, match="line 4: motif 'a' has 4 numbers in a row: expected 20"):
        read("MEME version 4\nMOTIF a\n" + matrix(attributes="alength= 20"))


OWN_OUTPUT = """********************************************************************************
MEME - Motif discovery tool
********************************************************************************
MEME version {version} (Release date: 2010/04/22)

DATAFILE= crp0.s
ALPHABET= ACGT
Sequence name            Weight Length
ce1cg                    1.0000    105
Letter frequencies in dataset:
A 0.304 C 0.196 G 0.196 T 0.304
Background letter frequencies (from dataset with add-one prior applied):
A 0.304 C 0.196 G 0.196 T 0.304
********************************************************************************
MOTIF  {name}\twidth =    4   sites =  18   llr = 186   E-value = 1.4e-004
********************************************************************************
Simplified        A  :a:a
pos.-specific     C  ::::
         bits    2.4
                 1.9 ****
Information      1.6 ****
(10.5 bits)      0.7 ****
                 0.0 ----
--------------------------------------------------------------------------------
\tMotif {name} position-specific scoring matrix
--------------------------------------------------------------------------------
log-odds matrix: alength= 4 w= 4 n= 1566 bayes= 6.3 E= 1.4e-004
   -38     76   -182     57
    43   -182   -182     83
   138   -182   -1081    -36
  -1081     -9   -182    119
--------------------------------------------------------------------------------
\tMotif {name} position-specific probability matrix
--------------------------------------------------------------------------------
letter-probability matrix: alength= 4 w= 4 nsites= 18 E= 1.4e-004
 0.000000  0.000000  1.000000  0.000000
 1.000000  0.000000  0.000000  0.000000
 0.222222  0.055556  0.055556  0.666667
 1.000000  0.000000  0.000000  0.000000
--------------------------------------------------------------------------------
Time  0.32 secs.
********************************************************************************
SUMMARY OF MOTIFS
SEQUENCE NAME            COMBINED P-VALUE  MOTIF DIAGRAM
ce1cg                            3.99e-04  61_[+1(2.0e-06)]_25
"""


@pytest.mark.reliability("motif files", "the output of MEME 3, 4 and 5, with scores beside frequencies", "read")
@pytest.mark.parametrize(("version", "name"), [("3.0", "1"), ("4.4.0", "1 MEME"), ("5.5.7", "GATA MEME-1")])
def test_what_meme_writes(read, version, name):
    found = read(OWN_OUTPUT.format(version=version, name=name))
    assert list(found) == [name]
    assert found[name][:, 2].tolist() == [0.222222, 0.055556, 0.055556, 0.666667]


@pytest.mark.reliability("motif files", "several files joined, each with its own alphabet", "read")
def test_files_that_were_joined(read):
    found = read(HEAD + "MOTIF a\n" + matrix() + "MEME version 4\nALPHABET= TGCA\nMOTIF b\n" + matrix())
    assert [spelled(motif) for motif in found.values()] == ["GATA", "CTAT"]


@pytest.mark.reliability("motif files", "counts, all positions of a motif summing to the same", "their frequencies")
def test_counts(read):
    found = read(
        HEAD + "MOTIF a\n" + matrix("16 0 4 0\n5 5 5 5\n", "w= 2") + "MOTIF b\n" + matrix("33.3 33.3 33.4 0\n", "")
    )
    assert found["a"].T.tolist() == [[0.8, 0, 0.2, 0], [0.25] * 4]
    np.testing.assert_allclose(found["b"].sum(axis=0), 1)


def test_rounded_numbers(read):
    # Each rounded to two digits, up to 0.02 in all; to three, such sums stay as they are.
    found = read(
        HEAD + "MOTIF a\n" + matrix("0.33 0.33 0.32 0\n", "") + "MOTIF b\n" + matrix("0.333 0.333 0.333 0\n", "")
    )
    np.testing.assert_allclose(found["a"].sum(axis=0), 1)
    assert found["b"][0, 0] == 0.333


@pytest.mark.reliability(
    "motif files",
    "a motif without a matrix or a name, two of one name, a matrix without a motif",
    "an error that names its line",
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MOTIF E\nMOTIF G\n" + matrix(), "line 7: motif 'E' has no letter-probability matrix"),
        ("MOTIF G\n" + matrix() + "MOTIF E\n", "line 13: motif 'E' has no letter-probability matrix"),
        ("MOTIF E\nlog-odds matrix: w= 1\n1 -1 -1 -1\n", "line 7: motif 'E' has no letter-probability matrix"),
        ("MOTIF a\n" + matrix() + "MOTIF  a\n" + matrix(), "line 13: a second motif is named 'a'"),
        ("MOTIF a\n" + matrix() + matrix(), "line 13: motif 'a' has a second matrix"),
        (matrix(), "line 7: a matrix has no name"),
        ("MOTIF\n" + matrix(), "line 7: MOTIF has no name"),
    ],
)
def test_invalid_motifs(read, text, message):
    with pytest.raises(InputError, match=rf"a\.meme, {message}"):
        read(HEAD + text)


@pytest.mark.reliability(
    "motif files", "too few or too many rows or columns, a file that ends within a row", "an error that names its line"
)
@pytest.mark.parametrize(
    ("rows", "attributes", "message"),
    [
        (GATA, "w= 5", "line 8: motif 'a' has 4 rows: expected w= 5"),
        (GATA, "w= 3", "line 12: motif 'a' has more rows than w= 3"),
        ("", "", "line 8: motif 'a' has 0 rows: expected at least one"),
        (GATA[:-5] + "\n", "w= 4", "line 12: motif 'a' has 2 numbers in a row: expected 4, for ACGT"),
        ("0 0 1\n", "", "line 9: motif 'a' has 3 numbers in a row: expected 4"),
        ("0 0 1 0 0\n", "", "line 9: motif 'a' has 5 numbers in a row: expected 4"),
        (GATA, "alength= 20", "line 8: alength= is 20, and the alphabet ACGT"),
        (GATA, "w= 0", "line 8: w= is '0'"),
        (GATA, "w= -4", "line 8: w= is '-4'"),
    ],
)
def test_invalid_matrices(read, rows, attributes, message):
    with pytest.raises(InputError, match=rf"a\.meme, {message}"):
        read(HEAD + "MOTIF a\n" + matrix(rows, attributes) + "URL here\n")


@pytest.mark.reliability(
    "motif files",
    "negative numbers, NaN, words, rows that do not sum to one, unequal counts",
    "an error that names its line",
)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1 0 0 0\n1.1 -0.1 0 0\n", "line 10: motif 'a' holds numbers below 0"),
        ("1 0 0 0\nnan 0 0 0\n", "line 10: motif 'a' holds NaN"),
        ("1 0 0 1e999\n", "line 9: motif 'a' holds NaN or infinity"),
        ("1 0 0 O\n", "line 9: motif 'a' holds 'O'"),
        ("1_0 0 0 0\n", "line 9: motif 'a' holds '1_0'"),
        ("1 0 0 \u0660\n", "line 9: motif 'a' holds '\u0660'"),
        ("0,5 0,5 0 0\n", "line 9: motif 'a' holds '0,5'"),
        ("1 0 0 0\n0.3 0.2 0.2 0.2\n", "line 10: motif 'a' has a position that does not sum to one, but to 0.9"),
        ("20 0 0 0\n9 10 0 0\n", "line 9: motif 'a' .* expected frequencies"),
        ("100 0 0 0\n1 100 0 0\n", "line 9: motif 'a' .* expected frequencies"),
        ("1 0 0 0\n0 0 0 0\n", "line 10: motif 'a' .* sum to one, but to 0"),
        ("1e308 1e308 1e308 0\n", "line 9: motif 'a' .* expected frequencies"),
    ],
)
def test_invalid_numbers(read, rows, message):
    with pytest.raises(InputError, match=rf"a\.meme, {message}"):
        read(HEAD + "MOTIF a\n" + matrix(rows, "nsites= 3"))


@pytest.mark.reliability(
    "motif files",
    "an alphabet that is empty, has a letter twice, or is not ended",
    "an error that names its line",
)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ALPHABET= ACGG\n", "line 7: the alphabet is 'ACGG'"),
        ("ALPHABET=\n", "line 7: the alphabet is ''"),
        ("ALPHABET\nEND ALPHABET\n", "line 8: the alphabet is ''"),
        ("ALPHABET\nA\nMOTIF a\n" + matrix(), "line 9: 'MOTIF a' stands in the definition"),
        ("ALPHABET\nA ~ T\n", "line 9: .*goes on to the end"),
        ("ALPHABET\nAT\nEND ALPHABET\n", "line 8: the alphabet has the symbol 'AT'"),
    ],
)
def test_invalid_alphabets(read, text, message):
    with pytest.raises(InputError, match=rf"a\.meme, {message}"):
        read(HEAD + text)


@pytest.mark.reliability(
    "motif files", "an empty file, a file of another format, or one that is no text", "an error that says so"
)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no motif"),
        (
            b">MA1 a\nA [ 1 0 ]\nC [ 0 1 ]\n",
            "holds no motif: expected a file in MEME format, .*; one in JASPAR's format is read by `read_jaspar`",
        ),
        ((HEAD + BACKGROUND).encode(), "holds no motif"),
        (b"MEME version 4\0\0\1", "is no text"),
        (gzip.compress(HEAD.encode(), mtime=0)[:40], "is a gzip file without its end"),
    ],
)
def test_invalid_files(read, content, message):
    with pytest.raises(InputError, match=rf"a\.meme {message}"):
        read(content)


@pytest.mark.reliability(
    "motif files", "no such file, a folder, or something other than a path", "an error that says so"
)
def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"there is no file '.*none.meme': expected a file in MEME format"):
        read_meme(tmp_path / "none.meme")
    with pytest.raises(InputError, match="is a folder: expected a file in MEME format"):
        read_meme(str(tmp_path))
    for path, met in ((3, "an int"), (b"a.meme", "a bytes"), (None, "None")):
        with pytest.raises(InputError, match=f"path is {met}"):
            read_meme(path)


def test_an_oracle_reads_the_same(tmp_path):
    oracles = [pytest.importorskip("memelite.io").read_meme, pytest.importorskip("tangermeme.io").read_meme]
    rng = np.random.RandomState(1)
    motifs = {f"MA{i}.1 name {i}": rng.dirichlet([0.4] * 4, size=4 + i).T.round(6) for i in range(9)}
    write_meme(tmp_path / "a.meme", motifs)
    found = read_meme(tmp_path / "a.meme")
    for oracle in oracles:
        others = oracle(str(tmp_path / "a.meme"))
        assert list(found) == list(others)
        for name, motif in others.items():
            np.testing.assert_allclose(found[name], np.asarray(motif), rtol=1e-7)


@given(st.text(alphabet='MOTIFA0 1.\n=w:-"~', max_size=80), st.integers(0, 400))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory, noise, at):
    path = tmp_path_factory.getbasetemp() / "noise.meme"
    text = HEAD + "MOTIF a\n" + matrix() + "MOTIF b\n" + matrix("3 0 0 0\n", "")
    path.write_text(text[:at] + noise + text[at:], encoding="utf-8")
    with contextlib.suppress(InputError):
        assert all(np.allclose(motif.sum(axis=0), 1) for motif in read_meme(path).values())


@pytest.mark.reliability("motif files", "another line among the rows, without a `w=`", "an error")
@pytest.mark.parametrize("stray", [". . . .", "x 0 0 1", "[0 0 0 1]", "NA 0 0 0", "(masked)\n(as before)"])
@pytest.mark.parametrize("behind", ["0 0 0 1\n", "\n0 0 0 1\nMOTIF two\n" + matrix()])
def test_no_row_is_lost_behind_a_stray_line(read, stray, behind):
    with pytest.raises(InputError, match=r"line 1[0-3]: motif 'one' has .* rows: expected"):
        read(HEAD + "MOTIF one\n" + matrix("1 0 0 0\n", "alength= 4") + f"{stray}\n{behind}")


@pytest.mark.parametrize("end", ["URL http://a/b?c d\n", "-----\n", "Found in a screen\n", ""])
def test_what_ends_a_motif_without_a_width(read, end):
    found = read(HEAD + ("MOTIF {}\n" + matrix(attributes="") + end).format("one"))
    assert spelled(found["one"]) == "GATA"


@pytest.mark.reliability(
    "motif files", "another spelling of the word ALPHABET; an alphabet behind a motif", "obeyed; an error"
)
def test_an_alphabet_is_never_passed_over(read):
    for line in ("Alphabet= TGCA", "alphabet: TGCA", "ALPHABET: TGCA", "  ALPHABET = TGCA"):
        assert spelled(read(f"{line}\nMOTIF one\n" + matrix())["one"]) == "CTAT"
    with pytest.raises(InputError, match="line 7: the alphabet stands behind motif 'one'"):
        read("MOTIF one\n" + matrix() + "ALPHABET= TGCA\nMOTIF two\n" + matrix())
