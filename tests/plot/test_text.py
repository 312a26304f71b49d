import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import seqlight as sl
from seqlight.plot.logo_stack import plot_logos
from seqlight.plot.reference_convergence import plot_reference_convergence
from seqlight.plot.text import add_legend
from seqlight.plot.tracks import plot_tracks

# Names that Matplotlib or a browser would read as mathematics, TeX or HTML, or would leave out.
NAMES = [r"$\frac$", "$x^2$", "a_b$c$", r"\$5$", "50%_{#1}", "<b>x</b> & y", "_hidden"]
CONTRIBUTIONS = np.random.RandomState(0).normal(size=(2, 5, 4, 10))


def logo():
    return np.eye(4).repeat(5, axis=1)


def annotated(name):
    return pd.DataFrame({"motif_name": [name], "start": [2], "end": [12], "motif_strand": "-"})


def with_logo(name):
    figure = Figure(figsize=(8, 2))
    sl.plot_logo(logo(), figure.subplots(), annotations=annotated(name))
    return figure


def with_curves(name):
    figure = Figure()
    plot_reference_convergence(CONTRIBUTIONS, figure.subplots(), labels=[name, "other"])
    return figure


def with_tracks(name):
    tables = {"seqlets": annotated(name), "motifs": annotated(name)}
    return plot_tracks(logo(), {name: np.ones(20)}, locus=(name, 100, 120), label_key="motif_name", **tables)


PICTURES = {
    "logo": with_logo,
    "tracks": with_tracks,
    "stack": lambda name: plot_logos(np.stack([logo(), logo()]), [name, "other"], annotations=annotated(name)),
    "convergence": with_curves,
}


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.reliability(
    "names in pictures", "dollar signs, backslashes, tags or a leading underscore", "drawn as they are"
)
@pytest.mark.parametrize("picture", PICTURES)
def test_names_are_drawn_verbatim(picture):
    for name in NAMES:
        figure = PICTURES[picture](name)
        ours = [text for text in texts(figure) if name in text.get_text()]
        assert ours
        assert {(text.get_parse_math(), text.get_usetex()) for text in ours} == {(False, False)}
    figure = PICTURES[picture](r"$\frac$")
    figure.savefig(io.BytesIO(), format="svg")


@pytest.mark.parametrize("picture", PICTURES)
def test_names_are_literal_even_if_tex_is_on_for_other_texts(picture):
    with matplotlib.rc_context({"text.usetex": True}):
        figure = PICTURES[picture]("a_b")
    ours = [text for text in texts(figure) if "a_b" in text.get_text()]
    assert ours
    assert not any(text.get_usetex() for text in ours)


def test_a_legend_leaves_other_labels_unchanged():
    ax = Figure().subplots()
    for label in ("$x^2$", "$y$"):
        ax.plot([0, 1], label=label)
    texts = add_legend(ax, ["$y$"]).get_texts()
    assert [text.get_parse_math() for text in texts] == [True, False]


@pytest.mark.reliability("names in pictures", "the same in a picture for the browser", "drawn as they are")
def test_names_in_the_browser():
    name = "<b>$x$</b> & </script>"
    figure = sl.interactive_logo(
        logo(), title=name, annotations=annotated(name), label_key="motif_name", locus=(name, 100, 120)
    )
    # The script escapes names where it shows them; until then they must not end the script that holds them.
    assert figure.content["axis"] == f"position on {name}"
    assert figure.content["annotations"][0]["text"].startswith(f"{name} (-) 2 to 12")
    page = figure.to_html()
    assert "<b>" not in page
    assert page.count("</script>") == 2
    assert "<span>&lt;b&gt;$x$&lt;/b&gt; &amp; &lt;/script&gt;</span>" in page
