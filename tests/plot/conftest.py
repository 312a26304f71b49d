import json
import os
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from matplotlib.testing.compare import compare_images

matplotlib.use("Agg")

BASELINE = Path(__file__).parent / "baseline"
DPI = 72
# In grey levels, root mean square outside of texts. Matplotlib 3.9 and 3.11, whose FreeTypes are eight years apart,
# differ by at most 1.3, where one draws a long text beyond the other's box; a missing letter gives more than 3.
TOLERANCE = 2.0
# In pixels: how far another FreeType may move a text, and the margin around texts that is not compared.
TEXT_SHIFT = 6
TEXT_MARGIN = 4


@pytest.fixture
def plain_style():
    """Matplotlib's own settings and its own font, whatever this machine has."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.family": "DejaVu Sans", "backend": "Agg"})
        yield


@pytest.fixture
def ax():
    return Figure(figsize=(12, 2)).subplots()


@pytest.fixture
def current_ax():
    plt.figure(figsize=(12, 2))
    yield plt.subplot(111)
    plt.close("all")


@pytest.fixture
def difference(plain_style, tmp_path):
    """Compare a figure to its baseline; SEQLIGHT_BASELINES in the environment writes a new baseline."""
    return lambda figure, name: compare(figure, name, tmp_path, write=bool(os.environ.get("SEQLIGHT_BASELINES")))


def compare(figure, name, folder, write=False, tolerance=TOLERANCE):
    """Return None or a message: axes and texts are compared by position, everything else by its pixels."""
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    boxes = [[round(side, 4) for side in ax.get_position().bounds] for ax in figure.axes]
    known = json.loads((BASELINE / f"{name}.json").read_text()) if not write else {"axes": boxes}
    # The layout depends on the widths of letters, which differ between FreeTypes, so axes may move by a pixel or two.
    # For the comparison they are moved back.
    np.testing.assert_allclose(boxes, known["axes"], atol=0.02)
    figure.set_layout_engine("none")
    for ax, box in zip(figure.axes, known["axes"], strict=True):
        ax.set_position(box)
    actual = folder / f"{name}.png"
    figure.savefig(actual, dpi=DPI, metadata={"Software": None})
    texts = {text: [round(at) for at in text.get_window_extent().extents] for text in drawn_texts(figure)}
    found = sorted([text.get_text(), (box[0] + box[2]) // 2, (box[1] + box[3]) // 2] for text, box in texts.items())
    if write:
        BASELINE.mkdir(exist_ok=True)
        (BASELINE / f"{name}.json").write_text(json.dumps({"axes": boxes, "texts": found}) + "\n")
        (BASELINE / f"{name}.png").write_bytes(actual.read_bytes())
        return None
    if [one[0] for one in found] != [one[0] for one in known["texts"]]:
        return f"the texts differ: {found}"
    if np.abs(np.subtract([one[1:] for one in found], [one[1:] for one in known["texts"]])).max() > TEXT_SHIFT:
        return f"texts have moved: {found}"
    # The width of a legend follows from its texts.
    legends = [ax.get_legend().get_window_extent() for ax in figure.axes if ax.get_legend()]
    hidden = [*texts.values(), *([round(side) for side in box.extents] for box in legends)]
    pairs = [(BASELINE / f"{name}.png", folder / "expected.png"), (actual, folder / "actual.png")]
    for source, target in pairs:
        imsave(target, blank_boxes(imread(source), hidden))
    return compare_images(*(target for _, target in pairs), tol=tolerance)


def drawn_texts(figure):
    """Return every visible text."""
    found = [*figure.texts, figure._supylabel] if figure._supylabel else list(figure.texts)
    for ax in figure.axes:
        legend = ax.get_legend()
        found += [*ax.texts, ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
        found += legend.get_texts() if legend else []
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            labels = [tick.label1 for tick in axis.get_major_ticks()]
            at = zip(axis.get_ticklocs(), labels, strict=False)
            found += [label for place, label in at if min(limits) <= place <= max(limits)]
    return list(dict.fromkeys(text for text in found if text.get_text() and text.get_visible()))


def blank_boxes(picture, boxes):
    """Return a picture with white boxes at these places, each left, bottom, right and top."""
    picture, height = picture.copy(), len(picture)
    for left, bottom, right, top in boxes:
        rows = slice(max(height - top - TEXT_MARGIN, 0), max(height - bottom + TEXT_MARGIN, 0))
        picture[rows, max(left - TEXT_MARGIN, 0) : max(right + TEXT_MARGIN, 0)] = 1
    return picture


@pytest.fixture
def locus():
    """Attributions of 120 positions with two planted motifs, and tables of seqlets and motifs."""
    rng = np.random.RandomState(0)
    X = np.zeros((4, 120))
    X[rng.randint(0, 4, 120), np.arange(120)] = 0.02 * rng.laplace(size=120)
    for motif, start in (("TGACTCA", 30), ("GATAAG", 70)):
        X[:, start : start + len(motif)] = 0
        X[["ACGT".index(letter) for letter in motif], start + np.arange(len(motif))] = 0.2 + 0.1 * rng.rand(len(motif))
    seqlets = pd.DataFrame({"example_idx": 0, "start": [29, 66, 69, 100], "end": [38, 72, 77, 106]})
    seqlets["attribution"] = [X[:, a:b].sum() for a, b in zip(seqlets["start"], seqlets["end"], strict=True)]
    motifs = pd.DataFrame({"motif_name": ["AP-1", "GATA1"], "start": [30, 70], "end": [37, 76], "score": [9.5, 8.1]})
    return X, seqlets, motifs
