"""The page of a study, from cells that are written by hand and from a real folder."""

import json
import re

import pytest
from study_implementations import EXACT, HALF, Net, noisy, refuses
from study_implementations import make as make_implementation

import seqlight as sl
from seqlight.studies import Study, open_study
from seqlight.studies.page import write_study_page
from study_stand_in import ABOUT, StudyStandIn

NASTY = '<script>alert("&")</script>'
AUDIT = [["relu", "trunk.1 (ReLU)", "rescale", 1, 0.0, ""], ["mul", "(Net)", "hidden", 2, 0.4, "It takes `gt`."]]


def read(results, tmp_path):
    return write_study_page(results, tmp_path / "page.html").read_text()


def plain(page):
    """Return the text of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.split("<main>")[1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A real study of one model."""
    X = sl.random_one_hot((3, 4, 20), random_state=0)
    chosen = [EXACT, HALF, make_implementation(noisy), make_implementation(refuses)]
    study = Study({NASTY: Net().eval()}, X, implementations=chosen, dtypes=["float64"], n_references=2, threads=1)
    return study.run(tmp_path_factory.mktemp("study") / "out", verbose=False).folder


def test_a_page_of_a_real_study(folder):
    results = open_study(folder)
    path = results.page()
    assert path == folder / "page.html"
    page = path.read_text()
    text = plain(page)
    assert "You can believe Exact on this model" in text
    assert "Half (torch" in text
    assert "misses 50 % of the output difference and does not say so" in text
    assert "The likely cause is relu in the model itself: a function call." in text
    assert "NotImplementedError: a module is used twice" in text
    assert results.settings["command"].split()[0] in text
    assert results.settings["versions"]["torch"] in text
    assert path.stat().st_size < 1e6
    assert page.count("<script>") == 1
    assert not re.search(r"https?://|url\(|@import", page)


@pytest.mark.reliability("validation studies", "the page of a study is written twice", "equal bytes")
def test_a_page_has_the_same_bytes_each_time(folder, tmp_path):
    pages = [write_study_page(open_study(folder), tmp_path / name).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


@pytest.mark.reliability("validation studies", "a model, module or message that is HTML", "shown as it is written")
def test_everything_is_escaped(tmp_path):
    results = StudyStandIn(
        {(NASTY, "seqlight"): {}, (NASTY, "tangermeme"): {"miss": 1.0, "verdict": "warned", "warnings": [NASTY]}},
        suspects={"tangermeme": [(NASTY, NASTY, NASTY, NASTY)]},
        audit=[[NASTY, NASTY, "hidden", 1, 0.4, NASTY]],
        printed={"seqlight": NASTY},
    )
    results.settings["command"] = NASTY
    page = read(results, tmp_path)
    assert page.count("<script>") == 1
    assert NASTY not in page
    assert page.count("&lt;script&gt;") >= 10


def test_the_page_speaks_before_it_counts(tmp_path):
    page = read(StudyStandIn({("mine", "seqlight"): {}, ("mine", "tangermeme"): {}}, audit=AUDIT), tmp_path)
    places = [page.index(one) for one in ("You can believe", "<img", 'class="texts"', 'class="terms"', "<pre>")]
    assert places == sorted(places)
    text = plain(page)
    assert "contributions that are all zero miss 100 %" in text
    assert "mul (Net) hidden 2 40 %" in text
    assert "seqlight study --model mine.Net --out study" in text


def test_columns_that_say_nothing_are_left_out(tmp_path):
    cells = {("mine", "seqlight"): {}}
    without = read(StudyStandIn(cells), tmp_path)
    cells["mine", "seqlight"]["motif_share"] = 0.25
    with_motifs = read(StudyStandIn(cells), tmp_path)
    assert "<th>implementation</th>" in without
    assert "<th>model</th>" not in without
    assert "share in motifs" not in without
    assert "share in motifs</th>" in with_motifs
    assert "25\u00a0%" in with_motifs or ">25 %<" in with_motifs


def test_an_unfinished_study_says_so(tmp_path):
    results = StudyStandIn({("mine", "seqlight"): {}})
    results.complete = False
    assert "not finished: run its command again" in plain(read(results, tmp_path))


def test_messages_are_shown_once_and_whole(tmp_path):
    warned = {"miss": 0.5, "verdict": "warned", "warnings": ["UserWarning: beware\nof this"]}
    page = read(StudyStandIn({(f"model {i}", "tangermeme"): warned for i in range(3)}), tmp_path)
    assert page.count("beware\nof this") == 1
    assert "tangermeme warns, on model 0 and 2 more" in plain(page)


def test_two_hundred_models_fit_on_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlight.studies.page.MAX_LOGOS", 1)
    cells = {}
    for i in range(200):
        for name in ABOUT:
            cells[f"op {i // 8}: way {i % 8}", name] = {"miss": 0.5} if i % 3 and name == "captum-deeplift" else {}
    page = read(StudyStandIn(cells), tmp_path)
    assert len(page) < 4e6
    text = plain(page)
    assert re.search(r"Captum's DeepLift 200 67 133", text)
    assert text.index("wrong and silent") < text.index("200 models on which an implementation can be believed")
    assert page.count("<img") == 4


def test_settings_of_the_stand_in_are_those_of_a_study(folder):
    real, stand_in = json.loads((folder / "study.json").read_text()), StudyStandIn({("mine", "seqlight"): {}}).settings
    assert set(stand_in) <= set(real)
    assert set(stand_in["cases"]["mine"]) <= set(real["cases"][NASTY])
    assert set(stand_in["implementations"]["seqlight"]) <= set(real["implementations"]["exact"])
