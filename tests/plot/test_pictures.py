"""Each picture against an approved one. After an intended change run SEQLIGHT_BASELINES=1 pytest, and look at them."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from logo_script import run_script
from seqlight.plot.interactive_logo import interactive_logo
from seqlight.plot.logo import plot_logo
from seqlight.plot.logo_stack import plot_logos
from seqlight.plot.reference_convergence import plot_reference_convergence
from seqlight.plot.tracks import plot_tracks

PLACE = ("chr8", 127735433, 127735553)


def profile(strands=1):
    x = np.arange(80)
    rows = [10 * np.exp(-((x - at) ** 2) / 300) for at in (35, 45)[:strands]]
    return np.stack(rows) + np.random.RandomState(1).poisson(0.4, (strands, 80))


def logo(locus, **changed):
    X, seqlets, _ = locus
    figure = Figure(figsize=(9, 2), layout="constrained")
    plot_logo(X, figure.subplots(), annotations=seqlets, **changed)
    return figure


def stack(locus):
    X, seqlets, _ = locus
    return plot_logos(np.stack([0.2 * X, 0.6 * X, X]), ["epoch 1", "epoch 5", "epoch 20"], annotations=seqlets)


def tracks(locus, strand="+"):
    X, seqlets, motifs = locus
    predictions = {"predicted counts, both strands": profile(2), "accessibility": profile()}
    return plot_tracks(X, predictions, seqlets=seqlets, motifs=motifs, locus=(*PLACE, strand))


def colored(locus):
    X, _, motifs = locus
    figure = Figure(figsize=(9, 2), layout="constrained")
    options = {"color": X.sum(axis=0), "color_cmap": "coolwarm", "color_vmin": -0.3, "color_vmax": 0.3}
    plot_logo(X, figure.subplots(), start=20, end=100, annotations=motifs, annot_cmap="Set1", **options)
    return figure


def convergence(locus):
    noise = np.random.RandomState(0).normal(scale=0.1, size=(6, 40, 4, 120))
    contributions = (locus[0] + noise) * (locus[0] != 0)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_reference_convergence(contributions, left, tolerance=0.1)
    three = contributions[:3, :20] * np.array([0.5, 1, 2])[:, None, None, None]
    plot_reference_convergence(three, right, labels=["DNase", "JunD", "ETS1"], relative=False)
    return figure


@pytest.mark.parametrize("draw", [logo, colored, stack, tracks, convergence], ids=lambda draw: draw.__name__)
def test_picture(draw, difference, locus):
    assert difference(draw(locus), draw.__name__) is None


def test_picture_of_the_reverse_strand(difference, locus):
    assert difference(tracks(locus, "-"), "tracks_reverse") is None


def test_a_missing_seqlet_or_motif_fails_the_comparison(difference, locus):
    X, seqlets, motifs = locus
    assert difference(logo((X, seqlets[:-1], motifs)), "logo") is not None
    assert difference(tracks((X, seqlets, motifs[:-1])), "tracks") is not None


def test_another_colour_or_scale_fails_the_comparison(difference, locus):
    assert difference(logo(locus, color="black"), "logo") is not None
    assert difference(logo(locus, ylim=(-0.1, 0.32)), "logo") is not None


def test_other_numbers_fail_the_comparison_of_every_picture(difference, locus):
    X, seqlets, motifs = locus
    # One letter of 120 twice as tall; the convergence of other contributions.
    X = X.copy()
    X[:, 33] *= 2
    for draw in (stack, tracks, colored):
        assert difference(draw((X, seqlets, motifs)), draw.__name__) is not None
    assert difference(convergence((2 * locus[0], seqlets, motifs)), "convergence") is not None


def test_the_interactive_picture_is_the_same_drawing(difference, locus):
    """The paths that the script makes, filled by Matplotlib, since the script itself would need a browser."""
    X, seqlets, _ = locus
    logo = interactive_logo(X, annotations=seqlets)
    content = logo.content
    figure = Figure(figsize=(9, 2), layout="constrained")
    ax = figure.subplots()
    for path, color in zip(run_script("script.letterPaths(logo, columns)", logo), content["colors"], strict=True):
        ax.add_patch(PathPatch(parse_path(path, content["low"], content["high"]), facecolor=color, linewidth=0))
    for one in content["annotations"]:
        ax.barh(-0.15 - 0.03 * one["row"], one["end"] - one["start"], left=one["start"], height=0.015, color="#404040")
    ax.set_xlim(*content["view"])
    assert difference(figure, "interactive") is None


def parse_path(text, low, high):
    """Return a path of SVG as one of Matplotlib, in the units of the y axis."""
    vertices, codes = [], []
    for command, points in re.findall(r"([MLQCZ])([^MLQCZ]*)", text):
        numbers = np.array(points.split() or [0, 0], dtype=float).reshape(-1, 2)
        numbers[:, 1] = high - (high - low) * numbers[:, 1] / 1000
        vertices.append(numbers)
        codes += [{"M": 1, "L": 2, "Q": 3, "C": 4, "Z": 79}[command]] * len(numbers)
    return Path(np.concatenate(vertices), codes)
