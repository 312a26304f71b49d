"""The page of a study, from cells that are written by hand; test_study.py has that of a real folder."""

import html
import re

import pytest

from seqlight.studies.report.page import write_study_page
from study_stand_in import StudyStandIn

NASTY = '<script>alert("&")</script>'
AUDIT = [["relu", "trunk.1 (ReLU)", "rescale", 1, 0.0, ""], ["mul", "(Net)", "hidden", 2, 0.4, "It takes `gt`."]]


@pytest.fixture
def _undrawn(monkeypatch):
    """Leave out what takes long, where pictures do not matter."""
    monkeypatch.setattr("seqlight.report.blocks.embed", lambda *_: "data:image/png;base64,")


def read(results, tmp_path):
    return write_study_page(results, tmp_path / "page.html").read_text()


def plain(page):
    """Return the text of a page, without its tags."""
    inline = re.sub(r"</?(code|span|b)\b[^>]*>", "", page.split("<main>")[1])
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", inline)))


@pytest.mark.reliability("studies", "the page of a study is written twice", "equal bytes")
def test_a_page_has_the_same_bytes_each_time(tmp_path):
    cells = {("mine", "seqlight"): {}, ("mine", "tangermeme"): {"miss": 0.5}}
    pages = [write_study_page(StudyStandIn(cells), tmp_path / name).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


@pytest.mark.reliability("studies", "a model, module or message that is HTML", "shown as it is written")
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
    assert not re.search(r"https?://|url\(|@import", page)
    assert page.count("&lt;script&gt;") >= 10


@pytest.mark.usefixtures("_undrawn")
def test_the_page_speaks_before_it_counts(tmp_path):
    page = read(StudyStandIn({("mine", "seqlight"): {}, ("mine", "tangermeme"): {}}, audit=AUDIT), tmp_path)
    places = [page.index(one) for one in ("You can believe", "<img", 'class="texts"', 'class="terms"', "<pre>")]
    assert places == sorted(places)
    text = plain(page)
    assert "contributions that are all zero miss 100 %" in text
    assert "mul (Net) hidden 2 40 %" in text
    assert "seqlight study --model mine.Net --out study" in text


@pytest.mark.usefixtures("_undrawn")
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


@pytest.mark.usefixtures("_undrawn")
def test_cells_are_sorted_by_what_they_were_computed_in(tmp_path):
    cells = {("mine", name, dtype): {} for dtype in ("float64", "float32") for name in ("seqlight", "shap")}
    cells["mine", "captum-integrated-gradients", "float32"] = {"miss": 0.01}
    text = plain(read(StudyStandIn(cells, dtypes=("float64", "float32")), tmp_path)).split("In numbers")[-1]
    found = re.findall(r"(seqlight|integrated gradients|DeepExplainer) (float\d\d)", text)
    assert [dtype for _, dtype in found] == ["float64"] * 2 + ["float32"] * 3
    assert [name for name, _ in found[2:]] == ["seqlight", "integrated gradients", "DeepExplainer"]
    assert "asked in one only" in text


@pytest.mark.usefixtures("_undrawn")
@pytest.mark.parametrize(("output", "said"), [("0.50", "in size."), ("0.012", "untrained weights"), ("0", "")])
def test_the_page_says_how_large_the_output_difference_is(tmp_path, output, said):
    text = plain(read(StudyStandIn({("mine", "seqlight"): {}}, output=float(output)), tmp_path))
    if said:
        assert re.search(f"The output differs by {output} between a sequence and a reference.*{said}", text)
    assert ("The output differs" in text) == bool(said)


def test_narrow_pages_have_pictures_of_their_own(tmp_path):
    page = read(StudyStandIn({("mine", "seqlight"): {}}), tmp_path)
    assert page.count("<source media=") == 2
    assert len(set(re.findall(r'<(?:source|img) [^>]*?src(?:set)?="(data:[^"]*)"', page))) == page.count("<img") + 2


@pytest.mark.usefixtures("_undrawn")
def test_every_suspect_has_its_remedy(tmp_path):
    suspects = {"captum-deeplift": [("relu", "", "a function", "Make it a module."), ("softmax", "head", "scaled", "")]}
    page = read(StudyStandIn({("mine", "captum-deeplift"): {"miss": 0.5}}, suspects=suspects), tmp_path)
    assert "Captum's DeepLift relu the model itself a function Make it a module." in plain(page)
    assert "Captum's DeepLift softmax head scaled -" in plain(page)


@pytest.mark.usefixtures("_undrawn")
def test_without_an_audit_nobody_is_called_complete(tmp_path):
    cells = {(model, "captum-deeplift"): {"miss": 0.5} for model in ("one", "two")}
    suspects = {"captum-deeplift": [("relu", "", "a function", "Make it a module.")]}
    text = plain(read(StudyStandIn(cells, suspects=suspects), tmp_path))
    assert "Make it a module." in text
    assert "seqlight is complete" not in text
    assert "seqlight is complete" in plain(read(StudyStandIn(cells, audit=AUDIT[:1]), tmp_path))


@pytest.mark.usefixtures("_undrawn")
def test_an_unfinished_study_says_so(tmp_path):
    results = StudyStandIn({("mine", "seqlight"): {}})
    results.complete = False
    assert "not finished: run its command again" in plain(read(results, tmp_path))


@pytest.mark.usefixtures("_undrawn")
def test_messages_are_shown_once_and_whole(tmp_path):
    warned = {"miss": 0.5, "verdict": "warned", "warnings": ["UserWarning: beware\nof this"]}
    page = read(StudyStandIn({(f"model {i}", "tangermeme"): warned for i in range(3)}), tmp_path)
    assert page.count("beware\nof this") == 1
    assert "tangermeme warns, on model 0 and 2 more" in plain(page)


def test_two_hundred_models_fit_on_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr("seqlight.studies.report.page.MAX_LOGOS", 0)
    cells = {}
    for i in range(200):
        for name in ("seqlight", "captum-deeplift"):
            cells[f"op {i // 8}: way {i % 8}", name] = {"miss": 0.5} if i % 3 and name == "captum-deeplift" else {}
    page = read(StudyStandIn(cells), tmp_path)
    assert len(page) < 4e6
    text = plain(page)
    assert re.search(r"Captum's DeepLift 200 67 133", text)
    assert text.index("wrong and silent") < text.index("133 models with a reservation")
    assert page.count("<img") == 3
