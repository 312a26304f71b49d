from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest

import seqlight as sl
from results_folders import attribution_arrays, loci_of, run_predictions, write_results

ROWS = 11
SIZES = {"chr1": 5000, "chr2": 100}


@pytest.fixture
def arrays():
    return attribution_arrays(ROWS)


@pytest.fixture
def results(tmp_path, arrays):
    return write_results(tmp_path / "run", arrays, loci_of(ROWS))


def test_every_format_at_once(results, arrays, tmp_path):
    for needed in ("h5py", "zarr"):
        pytest.importorskip(needed)
    files = sl.export(results, "npz,hdf5,zarr,modisco,bigwig,bed,fasta,tsv", chrom_sizes=SIZES)
    names = {name: [str(path.relative_to(tmp_path / "run")) for path in paths] for name, paths in files.items()}
    assert names == {
        "npz": ["attributions.npz"],
        "hdf5": ["attributions.h5"],
        "zarr": ["attributions.zarr"],
        "modisco": ["modisco/sequences.npz", "modisco/attributions.npz"],
        "bigwig": ["attributions.bw"],
        "bed": ["loci.bed"],
        "fasta": ["sequences.fa"],
        "tsv": ["attributions.tsv"],
    }
    # The folder is still that of the run, and nothing else is left in it.
    assert sl.open_results(results.path)["outputs"].numpy().tolist() == arrays["outputs"].tolist()
    assert not list(results.path.rglob("*.partial"))


@pytest.mark.reliability(
    "exports",
    "a process is killed while it writes a file of an export, in any format",
    "the next export of that name removes what it left, and nothing else",
)
def test_what_a_killed_process_left_is_removed(results, tmp_path):
    for needed in ("h5py", "zarr"):
        pytest.importorskip(needed)
    out, gone = tmp_path / "out", 2**22 + 1  # more than any process has
    names = [
        "attributions.npz", "attributions.h5", "modisco/sequences.npz", "modisco/attributions.npz", "attributions.bw",
        "loci.bed", "sequences.fa", "attributions.tsv",
    ]  # fmt: skip
    others = [f"mine.npz.{gone}.partial", "attributions.npz.partial", f"attributions.npz.{os.getppid()}.partial"]
    (out / f"attributions.zarr.{gone}.partial" / "inner").mkdir(parents=True)
    (out / "modisco").mkdir()
    for name in [*(f"{one}.{gone}.partial" for one in names), *others]:
        (out / name).write_text("half")
    sl.export(results, "npz,hdf5,zarr,modisco,bigwig,bed,fasta,tsv", out, chrom_sizes=SIZES)
    assert sorted(path.name for path in out.rglob("*.partial")) == sorted(others)
    (out / "all").mkdir()
    for name in ("all.npz", "all/ohe.npz", "all/shap.npz"):
        (out / f"{name}.{gone}.partial").write_text("half")
    sl.consolidate(results, out / "all.npz")
    sl.consolidate(results, out / "all")
    assert sorted(path.name for path in out.rglob("*.partial")) == sorted(others)


def test_an_export_again_writes_the_same_bytes(results):
    formats = "npz,modisco,bed,fasta,tsv"
    before = {path: path.read_bytes() for paths in sl.export(results, formats).values() for path in paths}
    sl.export(results.path, formats)
    assert before == {path: path.read_bytes() for path in before}


def test_a_run_goes_on_beside_its_exports(tmp_path):
    results = run_predictions(tmp_path)
    before = results["predictions"].numpy()
    files = [path for paths in sl.export(results, "npz,tsv").values() for path in paths]
    (tmp_path / "shard-000000.npz").unlink()
    np.testing.assert_array_equal(run_predictions(tmp_path)["predictions"], before)
    assert all(path.exists() for path in files)


def test_a_track_has_its_name(tmp_path):
    results = write_results(tmp_path, {"track": np.zeros((3, 10), np.float32)}, loci_of(3, 10))
    assert [path.name for path in sl.export(results, "npz")["npz"]] == ["track.npz"]


def test_a_folder_of_its_own(results, tmp_path):
    files = sl.export(results, ["bed"], tmp_path / "new" / "folder")
    assert files == {"bed": [tmp_path / "new" / "folder" / "loci.bed"]}
    assert not (results.path / "loci.bed").exists()


def test_several_targets_have_files_of_their_own(tmp_path):
    arrays = attribution_arrays(ROWS, targets=2)
    results = write_results(tmp_path, arrays, loci_of(ROWS))
    files = sl.export(results, "modisco,bigwig", chrom_sizes=SIZES)
    assert [path.name for paths in files.values() for path in paths] == [
        "sequences.npz",
        "attributions.target_0.npz",
        "attributions.target_1.npz",
        "attributions.target_0.bw",
        "attributions.target_1.bw",
    ]
    for k in range(2):
        with np.load(files["modisco"][1 + k]) as found:
            np.testing.assert_array_equal(found["arr_0"], arrays["hypothetical"][:, k])


@pytest.mark.parametrize(
    ("formats", "says"),
    [
        ("bigwg", r"there is no format 'bigwg': expected npz, hdf5, .*; did you mean bigwig\?"),
        (",", "formats is empty: expected one or more of npz"),
        (7, "formats is an int: expected names"),
        ([None], "a format is None: expected a name"),
        ("bigwig", "bigWig needs the lengths of all chromosomes: give the genome"),
    ],
)
def test_formats_that_cannot_be_written(results, formats, says):
    before = sorted(results.path.iterdir())
    with pytest.raises(sl.InputError, match=says):
        sl.export(results, formats)
    assert sorted(results.path.iterdir()) == before


@pytest.mark.reliability(
    "files",
    "an export to a format that lacks what it needs: no loci, no hypothetical contributions, predictions as bigWig",
    "refused before any file is written, with what to run",
)
def test_results_that_lack_what_a_format_needs(tmp_path):
    arrays = attribution_arrays(ROWS)
    results = write_results(tmp_path / "no-loci", {name: arrays[name] for name in ("attributions", "outputs")})
    for formats, says in (
        ("npz,bed", "have no loci, which BED needs: run on regions"),
        ("npz,bigwig", "have no loci, which bigWig needs"),
        ("npz,modisco", "there is no 'hypothetical' in .*attribute again with `--hypothetical`"),
        ("npz,fasta", "there is no 'sequences' in .*`seqlight attribute` keeps them"),
    ):
        with pytest.raises(sl.InputError, match=says):
            sl.export(results, formats, chrom_sizes=SIZES)
    predicted = run_predictions(tmp_path / "predictions")
    with pytest.raises(sl.InputError, match=r"there is no 'attributions' in .*, which bigWig needs"):
        sl.export(predicted, "npz,bigwig", chrom_sizes=SIZES)
    assert not [path for path in tmp_path.glob("*/*.npz") if not path.name.startswith("shard")]


def test_rows_that_are_missing_or_damaged(results):
    (results.path / "shard-000001.npz").unlink()
    with pytest.raises(sl.ResultsError, match="4 of 11 rows are missing"):
        sl.export(results.path, "npz")
    with pytest.raises(sl.ResultsError, match="rows 4 to 7 are missing"):
        sl.export(results, "npz")


def test_a_full_disk_is_named(results, monkeypatch):
    from seqlight.exports import formats

    def fail(job):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(formats.FORMATS, "bed", formats.FORMATS["bed"]._replace(write=fail))
    with pytest.raises(OSError, match=r"could not be written to .No space left on device.: make room") as caught:
        sl.export(results, "bed")
    assert caught.value.errno == 28


def test_a_library_that_is_missing_is_named_before_anything_is_written(results, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(sl.MissingExtra, match=r"pip install 'seqlight\[export\]'"):
        sl.export(results, "npz,hdf5")
    assert not (results.path / "attributions.npz").exists()


@pytest.mark.parametrize("formats", ["npz", "hdf5", "modisco", "fasta", "tsv"])
def test_memory_does_not_grow_with_rows(formats, tmp_path):
    pytest.importorskip({"hdf5": "h5py"}.get(formats, "numpy"))
    peaks = [export_peak(tmp_path / str(n), formats, attribution_arrays(n, length=400)) for n in (160, 480)]
    # In memory it would be 2 MB more for each of two arrays, and half a MB for sequences.
    assert peaks[1] < peaks[0] + 300_000


def test_memory_does_not_grow_with_rows_in_zarr(tmp_path):
    pytest.importorskip("zarr")
    rng = np.random.default_rng(0)
    arrays = [{"attributions": rng.normal(size=(n, 4, 400)).astype(np.float32)} for n in (300, 1500)]
    peaks = [export_peak(tmp_path / str(n), "zarr", one) for n, one in enumerate(arrays)]
    # In memory it would be 8 MB more; how many chunks of 1 MB Zarr compresses at a time differs.
    assert peaks[1] < peaks[0] + 4_000_000


def export_peak(folder, formats, arrays):
    """Return how much memory an export takes, in bytes, beyond what a first one has loaded."""
    results = write_results(folder, arrays, loci_of(len(arrays["attributions"]), 400), 50)
    sl.export(results, formats)
    tracemalloc.start()
    sl.export(results, formats)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
