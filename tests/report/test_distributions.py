import io

import numpy as np
import pytest

from seqlight.report.distributions import attribution_profile, histograms


def counts(ax):
    (steps,) = ax.patches
    return steps.get_data()


def test_all_finite_numbers_are_counted():
    values = np.append(np.random.RandomState(0).normal(size=200), [np.nan, np.inf])
    (ax,) = histograms({"output": values}).axes
    assert counts(ax).values.sum() == 200
    assert ax.get_xlabel() == "output"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_every_panel_is_drawn(n):
    figure = histograms({f"output {i}": np.arange(5.0) for i in range(n)})
    assert [ax.get_xlabel() for ax in figure.axes] == [f"output {i}" for i in range(n)]
    figure.savefig(io.BytesIO())


@pytest.mark.parametrize(
    "values", [[], [np.nan], [3.0] * 5, [1e300, 1e300], [1.0, 1.0 + 1e-16], [-1e308, 1e308], [0, 5e-324]]
)
def test_numbers_of_any_kind(values):
    (ax,) = histograms({"output": np.array(values)}).axes
    assert counts(ax).values.sum() == np.isfinite(values).sum()


def test_names_are_not_mathematics():
    histograms({r"$\frac$": np.arange(3.0)}).savefig(io.BytesIO())


@pytest.mark.parametrize("length", [1, 7, 500, 501, 2114])
def test_a_profile_keeps_its_mean(length):
    profile = np.random.RandomState(0).rand(length)
    (ax,) = attribution_profile(profile).axes
    heights, edges, _ = counts(ax)
    assert len(heights) <= 500
    assert edges[-1] == length
    assert np.sum(heights * np.diff(edges)) == pytest.approx(profile.sum())
