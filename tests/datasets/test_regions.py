import warnings

import numpy as np
import pandas as pd
import pytest

import seqlight as sl
from bed_files import PEAK, write_lines
from seqlight.datasets.regions import as_regions, warn_about_summits
from seqlight.sequence.loci import Loci


def test_tables_and_loci(tmp_path):
    table = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [-3, 5], "end": [4, 9], "score": [1, 2]}, index=[7, 3])
    found = as_regions(table)
    assert found.index.tolist() == [0, 1]
    assert found["strand"].tolist() == ["+", "+"]
    assert found["score"].tolist() == [1, 2]
    loci = Loci(*(found[name].to_numpy() for name in ("chrom", "start", "end", "strand")))
    assert as_regions(loci)["start"].tolist() == [-3, 5]
    with pytest.raises(sl.InputError, match="regions is a set"):
        as_regions({"chr1"})
    with pytest.raises(sl.InputError, match="regions is empty"):
        as_regions([])
    with pytest.raises(sl.InputError, match="regions has no column 'end'"):
        as_regions(table.drop(columns="end"))


def test_several_sources_say_which(tmp_path):
    background = write_lines(tmp_path / "background.bed", "chr1\t1\t9\n")
    peaks = write_lines(tmp_path / "peaks.narrowPeak", PEAK.format(100, 200, 30))
    found = as_regions([background, peaks, pd.DataFrame({"chrom": ["chr2"], "start": [-4], "end": [5]})])
    assert found["source"].tolist() == [0, 1, 2]
    assert found["chrom"].tolist() == ["chr1", "chr1", "chr2"]
    assert found["summit"].tolist() == [-1, 130, -1]
    assert found["strand"].tolist() == [".", ".", "+"]
    assert found["start"].dtype == found["summit"].dtype == np.int64


@pytest.mark.reliability(
    "narrowPeak files",
    "a table whose summits are distances from the start, as in column 10",
    "an error that names the row",
)
@pytest.mark.parametrize("summit", [[130.0, 50], [130, -2], [130, 600], [130, 550.5], ["x", 5]])
def test_summits_of_tables(summit):
    table = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [100, 500], "end": [200, 600], "summit": summit})
    with pytest.raises(sl.InputError, match=r"region 1, chr1:500-600, has its summit at|'summit' holds a str"):
        as_regions(table)


def test_summits_that_are_missing():
    table = pd.DataFrame({"chrom": ["chr1"] * 3, "start": [100] * 3, "end": [200] * 3, "summit": [100, np.nan, -1]})
    assert as_regions(table)["summit"].tolist() == [100, -1, -1]
    assert as_regions(table.astype({"summit": "Int64"}))["summit"].tolist() == [100, -1, -1]


@pytest.mark.reliability(
    "narrowPeak files",
    "a table whose summits are called peak or relSummit, as other readers do",
    "a warning that says so",
)
@pytest.mark.parametrize("name", ["peak", "relSummit", "Summit", "point_source", "peak_offset", "summit_pos"])
def test_summits_of_another_name(name):
    table = pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [200]})
    with pytest.warns(sl.SeqlightWarning, match=f"the column '{name}' of the regions is not read"):
        warn_about_summits(table.assign(**{name: 20}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_about_summits(table.assign(**{name: "peak 1"}))
        warn_about_summits(table.assign(**{f"{name}_score": 20}))
        warn_about_summits(table.assign(**{name: 20}, summit=120))
