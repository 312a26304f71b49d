import json
import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

import seqlight as sl
from page_elements import Elements
from results_folders import attribution_arrays, loci_of, run_predictions, write_results
from seqlight.report.results_page import write_report
from seqlight.results.row_names import RowNames, write_row_names

NASTY = '<script>alert("&")</script>'


def titles(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def tables(page):
    """Return the tables of a page, as its script reads them."""
    found = [json.loads(one) for one in re.findall(r'<script type="application/json">(.*?)</script>', page)]
    return [
        pd.DataFrame(one["rows"], columns=[c["name"] for c in one["columns"]])
        for one in found
        if "rows" in one and "columns" in one
    ]


def logos(page):
    return re.findall(r'<div id="row-(\d+)"><figure class="seqlight-logo"><figcaption><span>(.*?)</span>', page)


def add_seqlets(results, **columns):
    table = pd.DataFrame(
        {"example_idx": [0, 2, 2], "start": [1, 5, 12], "end": [8, 11, 20], "attribution": [0.5, -1, 2]}
    )
    table.assign(**columns).to_csv(results.path / "seqlets.tsv", sep="\t", index=False, na_rep="NA")


def add_motifs(results):
    (results.path / "motifs").mkdir()
    sl.write_meme(results.path / "motifs" / "motifs.meme", {"GATA <1>": np.eye(4), "AP1": np.eye(4)[:, ::-1]})
    (results.path / "motifs" / "motifs.tsv").write_text("pattern\tseqlets\nGATA <1>\t20\nAP1\t5\n")


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave pictures out of pages, which take most of their time."""
    monkeypatch.setattr("seqlight.report.blocks.embed", lambda figure, kind="svg": "data:image/png;base64,")


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "run", attribution_arrays(11), loci_of(11))


def test_a_page_of_attributions(results):
    add_seqlets(results, motif=["GATA", NASTY, np.nan])
    add_motifs(results)
    path = write_report(results, assembly="hg38")
    page = path.read_text()
    assert path == results.path / "report.html"
    assert titles(page) == [
        "In short",
        "What the model looks at",
        "Seqlets",
        "Motifs",
        "Convergence",
        "All rows",
        "Files",
    ]
    shown = logos(page)
    strengths = np.abs(results["attributions"].numpy().sum(axis=1)).sum(axis=1)
    strongest = np.argsort(-strengths)[:6]
    assert [int(row) for row, _ in shown[:6]] == strongest.tolist()
    assert len({row for row, _ in shown}) == 10
    row = strongest[0]
    output = results["outputs"][row]
    assert shown[0][1] == f"row {row}, chr1:{100 * row}-{100 * row + 30}: output {output:+.4g}"
    seqlets, motifs, rows = tables(page)
    assert seqlets["row"].tolist() == [0, 2, 2]
    assert motifs["seqlets"].tolist() == [20, 5]
    np.testing.assert_allclose(rows["attribution"].astype(float), strengths, rtol=1e-5)
    assert rows["seqlets"].tolist() == [1, 0, 2] + [0] * 8
    assert rows["strand"].tolist() == ["+", "-"] * 5 + ["+"]
    assert "3 seqlets in 2 of 11 rows; 2 raise the output." in page


def test_the_page_loads_nothing_and_escapes_everything(results):
    add_seqlets(results, motif=NASTY)
    add_motifs(results)
    page = write_report(results, title=NASTY, assembly="hg38").read_text()
    elements = Elements(page)
    assert not elements.of("link")
    assert all("src" not in one for one in elements.of("script"))
    assert all(one["src"].startswith("data:image/") for one in elements.of("img"))
    assert NASTY not in page
    assert "GATA &lt;1&gt;" in page
    # Only links that readers may click lead elsewhere.
    assert set(re.findall(r"https?://[^/]*", page)) == {"https://genome.ucsc.edu"}
    anchors = [one["href"] for one in elements.of("a")]
    identifiers = {attributes.get("id") for _, attributes in elements.found}
    assert {one[1:] for one in anchors if one.startswith("#")} <= identifiers
    assert "https://genome.ucsc.edu/cgi-bin/hgTracks?db=hg38&position=chr1%3A0-30" in anchors


@pytest.mark.usefixtures("no_pictures")
def test_links_to_files_lead_from_where_the_page_is(results, tmp_path):
    (results.path / "a file #1.tsv").touch()
    for path in (None, tmp_path / "else where" / "page.html", tmp_path):
        page = write_report(results, path)
        links = Elements(page.read_text().split("<h2>Files</h2>")[1]).of("a")
        found = [(page.parent / unquote(one["href"])).resolve() for one in links]
        assert (results.path / "a file #1.tsv").resolve() in found
        assert all(one.exists() for one in found)
    assert (tmp_path / "report.html").exists()


@pytest.mark.usefixtures("no_pictures")
def test_without_other_files_it_says_how_to_make_them(results):
    page = write_report(results).read_text()
    assert f"seqlight seqlets {results.path}" in page
    assert f"seqlight motifs {results.path}" in page
    assert "The run kept no standard errors of attributions. The mean output of the references" in " ".join(
        page.split()
    )


@pytest.mark.usefixtures("no_pictures")
def test_the_page_and_other_files_do_not_disturb_the_results(results):
    before = results["attributions"].numpy()
    add_seqlets(results)
    add_motifs(results)
    write_report(results)
    again = sl.open_results(results.path)
    again.verify()
    np.testing.assert_array_equal(again["attributions"].numpy(), before)
    write_report(again)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    ("size", "expected", "tone"),
    [
        (1e-7, "Attributions sum to the differences of outputs", "good"),
        (3e-2, "of 11 rows miss", "fair"),
        (5, "rows miss", "bad"),
    ],
)
def test_completeness_is_said_in_a_sentence(tmp_path, size, expected, tone):
    arrays = attribution_arrays(11)
    arrays["reference_outputs"] = arrays["outputs"][:, None] - 1 + 0 * arrays["reference_outputs"]
    arrays["deltas"] = np.full_like(arrays["deltas"], size)
    page = write_report(write_results(tmp_path / "run", arrays)).read_text()
    callout = re.search(r'<p class="callout (\w+)">(.*?)</p>', page)
    assert callout[1] == tone
    assert expected in callout[2]


@pytest.mark.usefixtures("no_pictures")
def test_one_of_several_targets(tmp_path):
    results = write_results(tmp_path / "run", attribution_arrays(5, targets=3))
    add_seqlets(results, target=[0, 1, 1])
    page = write_report(results, target=1)
    assert page == results.path / "report.target_1.html"
    page = page.read_text()
    seqlets, rows = tables(page)
    assert seqlets["start"].tolist() == [5, 12]
    np.testing.assert_allclose(rows["output"].astype(float), results["outputs"][:, 1], rtol=1e-5)
    assert "1 of 3, counted from 0" in page
    assert f"seqlight motifs {results.path} --target 1\nseqlight report {results.path} --target 1" in page
    page = write_report(results, target=2).read_text()
    assert "No seqlets have been called for target 2." in page
    assert f"seqlight seqlets {results.path}\nseqlight report {results.path} --target 2" in page
    # The page of another target is another file; the first is shown also without being chosen.
    first = write_report(results)
    assert "0 of 3, counted from 0" in first.read_text()
    assert f"seqlight report {results.path}</" in first.read_text()
    assert f"seqlight report {results.path} --target 0</" in write_report(results, target=0).read_text()
    pages = ["report.html", *(f"report.target_{i}.html" for i in range(3))]
    assert sorted(one.name for one in results.path.glob("*.html")) == pages
    elsewhere = write_report(results, tmp_path / "my page.html", target=0)
    assert f"--target 0 --out &#39;{elsewhere}&#39;</" in elsewhere.read_text()
    assert write_report(results, tmp_path, target=1) == tmp_path / "report.target_1.html"
    with pytest.raises(sl.InputError, match="explains 3: expected 0 to 2"):
        write_report(results, target=3)
    with pytest.raises(sl.InputError, match="explains a single one"):
        write_report(write_results(tmp_path / "one", attribution_arrays(2)), target=1)
    assert write_report(sl.open_results(tmp_path / "one"), target=0).name == "report.html"


@pytest.mark.usefixtures("no_pictures")
def test_standard_errors(tmp_path):
    arrays = attribution_arrays(6)
    arrays["standard_error"] = 0.05 * np.abs(arrays["hypothetical"])
    page = write_report(write_results(tmp_path / "run", arrays)).read_text()
    assert "is 5.0% of the attributions in the median row, and at most 10% in 6 of 6 rows." in " ".join(page.split())
    assert "standard error (%)" in tables(page)[-1]


@pytest.mark.usefixtures("no_pictures")
def test_a_page_of_many_rows_has_the_strongest(tmp_path, monkeypatch):
    for name in ("data_table", "attribution_sections"):
        monkeypatch.setattr(f"seqlight.report.{name}.MOST_ROWS", 5)
    results = write_results(tmp_path / "run", attribution_arrays(11))
    page = write_report(results).read_text()
    strengths = np.abs(results["attributions"].numpy().sum(axis=1)).sum(axis=1)
    assert tables(page)[-1]["row"].tolist() == np.argsort(-strengths)[:5].tolist()
    assert "those with the largest attributions first" in page
    assert "The first 5 of 11 rows are in this page." in page


@pytest.mark.usefixtures("no_pictures")
def test_the_spread_of_an_ensemble(tmp_path):
    arrays = attribution_arrays(6)
    arrays["spread"] = 0.25 * np.abs(arrays["hypothetical"])
    page = write_report(write_results(tmp_path / "run", arrays)).read_text()
    assert "The models of the ensemble differ by 25.0% of the attributions in the median row." in " ".join(page.split())


@pytest.mark.usefixtures("no_pictures")
def test_other_alphabets(tmp_path):
    rng = np.random.RandomState(0)
    arrays = {"attributions": rng.normal(size=(3, 5, 12)).astype(np.float32), "outputs": np.ones(3, np.float32)}
    results = write_results(tmp_path / "run", arrays)
    page = write_report(results).read_text()
    assert logos(page) == []
    assert "The letters of 5 rows are not known" in page
    assert len(logos(write_report(results, alphabet="ACGT-").read_text())) == 3
    write_row_names(results.path, RowNames(("a", "b", "c"), "ACGT-"), results.manifest)
    assert len(logos(write_report(sl.open_results(results.path)).read_text())) == 3
    with pytest.raises(sl.InputError, match="has 4 letters, and attributions 5"):
        write_report(results, alphabet="RNA")
    arrays["attributions"] = rng.normal(size=(3, 20, 12)).astype(np.float32)
    assert len(logos(write_report(write_results(tmp_path / "protein", arrays)).read_text())) == 3


@pytest.mark.usefixtures("no_pictures")
def test_the_draw_has_a_seed(results):
    drawn = [logos(write_report(results, random_state=seed).read_text())[6:] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    page = write_report(results, top=2, sampled=0).read_text()
    assert len(logos(page)) == 2


@pytest.mark.usefixtures("no_pictures")
def test_long_sequences_are_shown_around_their_strongest_part(tmp_path):
    arrays = attribution_arrays(2, length=900)
    arrays["attributions"][0, :, 700:710] *= 100
    page = write_report(write_results(tmp_path / "run", arrays), top=1).read_text()
    first, last = map(int, re.search(r'"view":\[(\d+),(\d+)\]', page.split('<div id="row-0">')[1]).groups())
    assert first < 700 - 10
    assert last > 710 + 10
    assert last - first == 160


def test_a_page_of_predictions(tmp_path):
    results = run_predictions(tmp_path / "run")
    page = write_report(results).read_text()
    assert titles(page) == ["In short", "Outputs", "Files"]
    (rows,) = tables(page)
    expected = results["predictions"].numpy()
    assert rows["row"].tolist() == np.argsort(-expected[:, 0], kind="stable").tolist()
    np.testing.assert_allclose(np.sort(rows["predictions 1"].astype(float)), np.sort(expected[:, 1]), rtol=1e-5)
    assert "seqlight-screen" not in page.split("<main>")[1].split("</main>")[0]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("shape", [(), (1,), (12,), (2, 30), (3, 4, 5)])
def test_predictions_of_any_shape(tmp_path, shape):
    values = np.random.RandomState(0).normal(size=(7, *shape)).astype(np.float32)
    results = write_results(tmp_path / "run", {"predictions": values}, method="predict")
    page = write_report(results).read_text()
    (rows,) = tables(page)
    means = values.reshape(7, shape[0] if shape else 1, -1).mean(axis=2)
    assert rows.shape[1] == 1 + min(9, means.shape[1])
    np.testing.assert_allclose(np.sort(rows.iloc[:, 1].astype(float)), np.sort(means[:, 0]), rtol=1e-4)
    assert ("3 more columns" in page) == (shape == (12,))


def test_predictions_of_several_arrays_that_are_not_finite(tmp_path):
    arrays = {"predictions.counts": np.array([1.0, np.nan, 2.0]), "predictions.profile": np.zeros((3, 2, 9))}
    page = write_report(write_results(tmp_path / "run", arrays, method="predict")).read_text()
    assert "1 of these numbers are not finite." in page
    assert list(tables(page)[0])[1:] == [
        "predictions.counts",
        "mean of predictions.profile 0",
        "mean of predictions.profile 1",
    ]


@pytest.mark.reliability(
    "the page of a run", "attributions of some or all rows that are NaN", "counted and said, and the others are drawn"
)
def test_rows_that_are_not_finite(tmp_path):
    arrays = attribution_arrays(5)
    arrays["attributions"][1:3] = np.nan
    arrays["deltas"][1] = np.nan
    page = write_report(write_results(tmp_path / "run", arrays)).read_text()
    assert "Attributions of 2 rows are not finite" in page
    assert sorted(int(row) for row, _ in logos(page)) == [0, 3, 4]
    arrays["attributions"][:] = np.nan
    page = write_report(write_results(tmp_path / "none", arrays)).read_text()
    assert logos(page) == []


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.reliability(
    "the page of a run", "a run that was interrupted", "refused, with the number of missing shards"
)
def test_a_run_that_was_interrupted(results):
    (results.path / "shard-000001.npz").unlink()
    with pytest.raises(sl.ResultsError, match="1 of 3 shards are missing"):
        write_report(sl.open_results(results.path, incomplete=True))
    with pytest.raises(sl.ResultsError, match="rows are missing"):
        write_report(results.path)
    assert not (results.path / "report.html").exists()


@pytest.mark.usefixtures("no_pictures")
def test_no_results(tmp_path):
    with pytest.raises(sl.InputError, match="holds no results"):
        write_report(tmp_path)


def test_a_page_of_a_hundred_long_rows_is_small(tmp_path):
    arrays = attribution_arrays(100, length=2114)
    del arrays["hypothetical"]
    page = write_report(write_results(tmp_path / "run", arrays, shard_rows=32))
    assert page.stat().st_size < 500_000


@pytest.mark.usefixtures("no_pictures")
def test_bars_have_the_names_of_motifs_that_are_sure(results):
    add_seqlets(results, **{"motif": ["MA0035.5 GATA1", "AP1", "CTCF"], "motif_q-value": [0.001, 0.04, 0.5]})
    page = write_report(results, top=11).read_text()
    labels = set(re.findall(r'"label":"(.*?)"', page))
    assert labels == {"GATA1", "AP1", ""}


@pytest.mark.reliability(
    "the page of a run",
    "`--out` names a file that is there and is no page, such as the data or the manifest",
    "refused; the file stays as it is",
)
def test_files_that_are_no_pages_are_not_replaced(tmp_path):
    results = write_results(tmp_path / "run", attribution_arrays(3))
    for name in ("manifest.json", "shard-000000.npz"):
        before = (results.path / name).read_bytes()
        with pytest.raises(sl.InputError, match=f"{name} is there, and is no page"):
            write_report(results, results.path / name)
        assert (results.path / name).read_bytes() == before
    page = write_report(results, tmp_path / "page")
    assert write_report(results, page) == page
    with pytest.raises(sl.InputError, match=r"page.* is a file"):
        write_report(results, f"{page}/")


def ledger_arrays(rows, targets=None):
    """Return totals of a trunk and of two branches, with half of the output difference each."""
    arrays = attribution_arrays(rows, targets=targets)
    differences = arrays["outputs"] - arrays["reference_outputs"].mean(-1)
    shares = {"trunk": 1.0, "trunk: branch 0": 0.5, "trunk: branch 1 (<b>)": 0.5}
    arrays |= {f"total_{name}": share * differences for name, share in shares.items()}
    moments = np.zeros((*differences.shape, len(shares), 3))
    moments[..., 1:, 2] = np.abs(differences)[..., None]
    return arrays | {"ledger_moments": moments}


@pytest.mark.parametrize("targets", [None, 2])
def test_a_page_of_a_run_with_a_ledger(tmp_path, targets, no_pictures):
    results = write_results(tmp_path / "run", ledger_arrays(11, targets))
    page = write_report(results).read_text()
    assert titles(page)[2] == "What every layer contributes"
    layers = tables(page)[0]
    assert layers.columns.tolist() == ["layer", "part", "share", "standard_error", "complete"]
    assert layers["part"].tolist() == ["", "branch 0", "branch 1 (<b>)"]
    np.testing.assert_allclose(layers["share"].astype(float), [1, 0.5, 0.5], rtol=1e-5)


def test_a_page_of_a_ledger_without_differences(tmp_path, no_pictures):
    arrays = ledger_arrays(5)
    arrays["reference_outputs"][:] = arrays["outputs"][:, None]
    page = write_report(write_results(tmp_path / "run", arrays)).read_text()
    assert "Outputs do not differ from those of the references" in page
