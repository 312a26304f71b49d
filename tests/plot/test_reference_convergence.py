from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import seqlight as sl
from seqlight.errors import InputError
from seqlight.plot.reference_convergence import plot_reference_convergence, standard_errors


@pytest.fixture
def ax():
    return Figure().subplots()


def lines(ax):
    return {line.get_label(): np.asarray(line.get_ydata()) for line in ax.lines}


@pytest.fixture(scope="module")
def explained():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv1d(4, 6, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(6 * 26, 2)
    )
    X = sl.random_one_hot((3, 4, 30), random_state=0)
    return sl.attribute(model, X, target=[0, 1], multipliers=True, n_shuffles=12, random_state=0)


def test_errors_are_those_of_the_definition():
    c = np.random.RandomState(0).normal(1, 2, (9, 4, 6))
    expected = [np.sqrt((c[:n].var(axis=0, ddof=1) / n).mean()) for n in range(2, 10)]
    np.testing.assert_allclose(standard_errors(c), expected)
    np.testing.assert_allclose(standard_errors(c, relative=True), expected / np.sqrt((c.mean(axis=0) ** 2).mean()))
    # Far from zero too, and where most characters are absent.
    padded = np.concatenate([c + 1e8, np.zeros((9, 8, 6))], axis=1)
    np.testing.assert_allclose(standard_errors(padded), expected, rtol=1e-5)


def test_independent_references_follow_the_line(ax):
    c = np.random.RandomState(0).normal(1, 2, (200, 4, 50))
    plot_reference_convergence(c, ax, relative=False)
    found = lines(ax)
    np.testing.assert_allclose(found["standard error"], 2 / np.sqrt(np.arange(2, 201)), rtol=0.1)
    np.testing.assert_allclose(found["standard error"], found["as 1/√n"], rtol=0.1)
    assert found["standard error"][-1] == pytest.approx(found["as 1/√n"][-1])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_last_point_is_the_standard_error_of_the_explanation(ax, explained):
    plot_reference_convergence(explained, ax, example_idx=1, relative=False)
    found = lines(ax)
    for k in range(2):
        there = explained.attributions[1, k] != 0
        expected = float((explained.standard_error[1, k][there] ** 2).mean().sqrt())
        assert found[f"target {k}"][-1] == pytest.approx(expected, rel=1e-4)


def test_sequences_of_one_target_are_drawn_together(ax, explained):
    plot_reference_convergence(explained.of_target(1), ax, tolerance=0.1)
    found = lines(ax)
    # Of the grey lines one is in the legend.
    assert [line.get_label() for line in ax.lines[:3]] == ["each of 3", "_each of 3", "_each of 3"]
    assert len(ax.lines) == 3 + 2 + 1
    assert found["tolerance 0.1"][0] == 0.1
    together = np.sqrt(np.mean([line.get_ydata() ** 2 for line in ax.lines[:3]], axis=0))
    np.testing.assert_allclose(found["root mean square"], together)


def test_one_sequence(ax, explained):
    plot_reference_convergence(explained.of_target(0), ax, example_idx=2)
    assert set(lines(ax)) == {"standard error", "as 1/√n"}


def test_sequences_may_have_fewer_references(ax):
    c = np.random.RandomState(0).normal(size=(2, 10, 4, 6))
    c[1, 6:] = np.nan
    plot_reference_convergence(c, ax, labels=["a", "b"])
    assert {name: len(values) for name, values in lines(ax).items() if name in "ab"} == {"a": 9, "b": 5}
    other = Figure().subplots()
    plot_reference_convergence(c, other)
    assert len(lines(other)["root mean square"]) == 5


def test_auto_references_are_padded_and_drawn(ax):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 6, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(156, 1))
    X = sl.random_one_hot((4, 4, 30), random_state=0)
    found = sl.attribute(model, X, multipliers=True, n_shuffles="auto", tolerance=0.25, random_state=0)
    assert len(found.n_references.unique()) > 1
    plot_reference_convergence(found, ax)
    each = [line for line in ax.lines if "each" in line.get_label()]
    assert [len(line.get_ydata()) + 1 for line in each] == found.n_references.tolist()


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (np.ones((4, 9)), {}, r"shape \(4, 9\)"),
        (np.ones((2, 4, 9)), {}, "2 references"),
        (np.zeros((5, 4, 9)), {}, "all contributions are 0"),
        (np.ones((2, 5, 4, 9)), {"labels": ["a"]}, "1 `labels` for 2 lines"),
        (np.where(np.eye(9)[None, :4], np.nan, np.ones((5, 4, 9))), {}, "inside of a reference"),
        (np.ones((5, 4, 9)), {"tolerance": "low"}, "`tolerance` is 'low'"),
        ("abc", {}, "does not hold numbers"),
    ],
)
def test_invalid_input_is_refused(ax, given, options, message):
    with pytest.raises(InputError, match=message):
        plot_reference_convergence(given, ax, **options)


def test_an_explanation_without_multipliers_or_references_is_refused(ax, explained):
    for name in ("multipliers", "references"):
        with pytest.raises(InputError, match="multipliers=True"):
            plot_reference_convergence(replace(explained, **{name: None}), ax)
    for example_idx in (None, 3):
        with pytest.raises(InputError, match="3 sequences, and the lines are targets"):
            plot_reference_convergence(explained, ax, example_idx=example_idx)
