import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from seqlight.errors import InputError
from seqlight.plot.coordinates import Locus, as_locus, show_coordinates
from seqlight.seqlets.genome_coordinates import to_genome
from seqlight.sequence.loci import as_loci

TABLE = pd.DataFrame({"chrom": ["chr1", "chrX"], "start": [100, 900], "end": [150, 950], "strand": ["+", "-"]})


@pytest.mark.parametrize("reverse", [False, True])
def test_bases_are_those_of_the_genome_table(reverse):
    strand = "-" if reverse else "+"
    locus = as_locus(("chr8", 1000, 1100, strand), 100)
    assert locus == Locus("chr8", 1000, 1100, reverse)
    seqlets = pd.DataFrame({"example_idx": [0, 0], "start": [0, 30], "end": [1, 31]})
    loci = pd.DataFrame({"chrom": ["chr8"], "start": [1000], "end": [1100], "strand": [strand]})
    assert to_genome(seqlets, loci)["genome_start"].tolist() == [locus.base_coordinate(0), locus.base_coordinate(30)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("start", "width"), [(127735433, 120), (0, 2114), (7, 30)])
def test_ticks_are_round_coordinates(reverse, start, width):
    locus = Locus("chr8", start, start + width, reverse)
    ticks = locus.locator().tick_values(0, width)
    inside = ticks[(ticks >= 0) & (ticks <= width)]
    assert 3 <= len(inside) <= 10
    assert (np.diff(ticks) > 0).all()
    step = abs(ticks[1] - ticks[0])
    assert step == int(step)
    np.testing.assert_allclose(locus.coordinate(ticks) % step, 0)


def test_labels():
    figure = Figure(figsize=(10, 2))
    ax = figure.subplots()
    ax.set_xlim(0, 100)
    show_coordinates(ax, Locus("chr8", 127735433, 127735533, reverse=True))
    figure.draw_without_rendering()
    texts = [label.get_text() for label in ax.get_xticklabels()]
    assert "127,735,500" in texts
    assert texts == sorted(texts, reverse=True)
    assert ax.get_xlabel() == "position on chr8, reverse strand"


@pytest.mark.parametrize("source", [TABLE, as_loci(TABLE)], ids=["table", "loci"])
def test_one_of_several_loci_is_chosen(source):
    assert as_locus(source, 50, 1) == Locus("chrX", 900, 950, reverse=True)
    assert as_locus(source, 50, 0) == Locus("chr1", 100, 150)
    assert as_locus(None, 50) is None


@pytest.mark.parametrize(
    ("source", "row", "message"),
    [
        (TABLE, None, "2 places and `example_idx` is None"),
        (TABLE, 2, "`example_idx` is 2"),
        (("chr1", 0, 40), None, "40 positions and the sequence 50"),
        (("chr1", 0), None, r"\(chrom, start, end\)"),
        ("chr1", None, r"one like 'chr1:2,850-3,150' is needed, or \(chrom, start, end\)"),
        ("chr1:50-0", None, "expected start < end"),
        ("chr1:1-49", None, "48 positions and the sequence 50"),
        (("chr1", 50, 0), None, "expected start < end"),
        (("chr1", 0, 50, "*"), None, "strand"),
    ],
)
def test_invalid_loci_are_refused(source, row, message):
    with pytest.raises(InputError, match=message):
        as_locus(source, 50, row)


@pytest.mark.parametrize(
    ("text", "locus"),
    [
        ("chr1:2,850-2,900", Locus("chr1", 2850, 2900)),  # as in BED
        ("chr1:2,851-2,900", Locus("chr1", 2850, 2900)),  # as in a browser: counted from 1
        ("chr1:0-50(-)", Locus("chr1", 0, 50, reverse=True)),
        (" HLA:HLA00001:1-50 ", Locus("HLA:HLA00001", 0, 50)),
    ],
)
def test_a_place_as_it_is_copied_from_a_browser(text, locus):
    assert as_locus(text, 50) == locus
