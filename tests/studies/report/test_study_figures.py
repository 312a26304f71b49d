"""The figures of a study, for one model and for many."""

import matplotlib
import pytest
import torch

from seqlight.studies.report.figures import plot_likeness_and_time, plot_misses, plot_worst_sequence
from seqlight.studies.report.judgement import judge
from seqlight.studies.report.summaries import judge_all
from study_stand_in import ABOUT, POSITIONS, ROWS, StudyStandIn

CELLS = {
    "seqlight": {},
    "tangermeme": {"miss": 2.0, "verdict": "warned", "r": 0.6},
    "captum-deeplift": {"miss": 0.4, "r": 0.54},
    "captum-integrated-gradients": {"miss": 1e-3, "r": 0.987},
    "shap": {"status": "refused", "error": "E: no"},
    "mutagenesis": {"miss": 3.0, "r": 0.81},
}


def study(*models, **options):
    return StudyStandIn({(model, name): what for model in models for name, what in CELLS.items()}, **options)


def texts(figure):
    return [one.get_text() for one in figure.axes[0].texts]


def test_every_cell_has_its_number_and_verdict():
    found = texts(plot_misses(judge_all(study("mine"))))
    assert found == ["6e-16", "200 %, warns", "40 %, silent", "0.1 %", "refused", "r = 0.81"]


def test_the_colour_is_the_miss():
    colors = [one.get_facecolor() for one in plot_misses(judge_all(study("mine"))).axes[0].patches]
    red, blue = (matplotlib.colors.to_rgba(one) for one in ("#D62839", "#255C99"))
    assert colors[0] == pytest.approx(blue, abs=0.01)
    assert colors[1] == pytest.approx(red, abs=0.01)
    assert colors[4] == colors[5]


def test_many_models_are_rows_and_two_hundred_have_no_numbers():
    few = plot_misses(judge_all(study(*(f"model {i}" for i in range(10)))))
    assert [one.get_text() for one in few.axes[0].get_yticklabels()] == [f"model {i}" for i in range(10)]
    assert len(texts(few)) == 60
    many = plot_misses(judge_all(StudyStandIn({(f"model {i}", "seqlight"): {} for i in range(200)})))
    assert not texts(many)
    assert few.get_figheight() < many.get_figheight() < 40


def test_groups_are_counted():
    cells = {(f"relu: {i}", "seqlight"): {} for i in range(3)}
    cells |= {(f"relu: {i}", "tangermeme"): {"miss": 0.5} for i in range(2)} | {("relu: 2", "tangermeme"): {}}
    cells |= {
        ("pool: a", "seqlight"): {"status": "error"},
        ("pool: a", "tangermeme"): {"miss": 9.0, "verdict": "warned"},
    }
    found = texts(plot_misses(judge_all(StudyStandIn(cells)), groups=True))
    assert found == ["3 of 3", "1 of 3, 2 silent", "error", "900 %, warns"]


def test_misses_are_drawn_against_likeness_and_time():
    left, right = plot_likeness_and_time(judge_all(study("mine", "other"))).axes
    assert {one.get_label() for one in left.lines} == {ABOUT[name]["title"] for name in CELLS if name != "shap"}
    assert left.lines[1].get_xydata().tolist() == [[0.6, 2.0]] * 2
    assert right.lines[1].get_xydata().tolist() == [[0.01, 2.0]] * 2
    assert right.get_xscale() == left.get_yscale() == "log"


def test_marks_in_one_place_are_all_seen():
    equal = StudyStandIn({("mine", name): {} for name in ("seqlight", "tangermeme", "shap")})
    lines = plot_likeness_and_time(judge_all(equal)).axes[0].lines
    assert len({tuple(one.get_xydata()[0]) for one in lines}) == 1
    sizes = [one.get_markersize() for one in lines]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert {one.get_markerfacecolor() for one in lines} == {"none"}


def test_a_narrow_figure_has_models_below_one_another():
    judged = judge_all(study(*(f"model {i}" for i in range(4))))
    assert len(texts(plot_misses(judged))) == 4 * len(CELLS)
    narrow = plot_misses(judged, width=5.2)
    assert not texts(narrow)
    assert [one.get_text() for one in narrow.axes[0].get_yticklabels()] == [f"model {i}" for i in range(4)]
    assert len(texts(plot_misses(judged[:2], width=5.2))) == 2 * len(CELLS)


def test_panels_are_below_one_another_on_a_narrow_page():
    upper, lower = plot_likeness_and_time(judge_all(study("mine")), 5.2).axes
    assert upper.get_position().y0 > lower.get_position().y1


def test_a_cell_in_another_dtype_says_so():
    cells = {("mine", "seqlight"): {}, ("mine", "captum-integrated-gradients", "float32"): {"miss": 0.02}}
    found = texts(plot_misses(judge_all(StudyStandIn(cells, dtypes=("float64", "float32")))))
    assert found == ["6e-16", "2 %, in float32"]


def test_a_name_is_never_read_as_mathematics():
    name = r"$\frac$ <b>"
    judged = judge_all(study(name))
    for figure in (plot_misses(judged), plot_likeness_and_time(judged)):
        figure.canvas.draw()
    assert plot_misses(judged).axes[0].get_xticklabels()[0].get_text() == name


def test_logos_show_the_sequence_with_the_largest_disagreement():
    other = torch.linspace(-1, 1, POSITIONS, dtype=torch.float64).repeat(ROWS, 1)
    other[1] += 1
    results = study("mine", arrays={"captum-deeplift": other})
    figure, where = plot_worst_sequence(results, judge(results, "mine"))
    assert where == "row 1"
    titles = [one.get_title(loc="left") for one in figure.axes]
    assert titles[0] == "seqlight: complete"
    assert titles[2] == "Captum's DeepLift: misses 40 %, silently"
    assert titles[4] == "mutagenesis: another question, drawn to the same height"


def test_motifs_are_shaded():
    results = study("mine")
    case = results.case("mine")
    case.motifs = torch.zeros(ROWS, POSITIONS, dtype=torch.bool)
    case.motifs[:, [0, 1, 5, 11]] = True
    results.case = lambda _: case
    figure, where = plot_worst_sequence(results, judge(results, "mine"))
    assert where == "row 0, with its motifs shaded"
    shaded = [(one.get_x(), one.get_width()) for one in figure.axes[0].patches if one.get_alpha() == 0.2]
    assert shaded == [(0, 2), (5, 1), (11, 1)]


def test_without_contributions_there_are_no_logos():
    results = StudyStandIn({("mine", "seqlight"): {"status": "error"}})
    assert plot_worst_sequence(results, judge(results, "mine")) is None
    plot_likeness_and_time(judge_all(results)).canvas.draw()
    assert texts(plot_misses(judge_all(results))) == ["error"]
