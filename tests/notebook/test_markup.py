import pytest

from seqlight.notebook.markup import html_lines, html_table, shown_safely


def test_everything_is_escaped():
    assert html_table(["<a>"], [["<b>"]]).count("<b>") == 0
    assert "&lt;b&gt;" in html_table(["<a>"], [["<b>"]])
    assert html_lines(["<a>", "  <b>"]) == "<p><b>&lt;a&gt;</b><br>&lt;b&gt;</p>"


def test_numbers_are_short_and_what_is_missing_is_a_dash():
    assert "<td>0.3333</td><td>3</td><td>&ndash;</td><td>&ndash;</td>" in html_table(
        list("abcd"), [[1 / 3, 3, None, float("nan")]]
    )


class Broken:
    @shown_safely
    def _repr_html_(self):
        raise RuntimeError("no file")

    def __repr__(self):
        return "<Broken>"


class Hopeless(Broken):
    def __repr__(self):
        raise RuntimeError("none either")


@pytest.mark.reliability(
    "notebooks", "an object whose files are gone, shown in a notebook", "shown as text, not as an error"
)
def test_showing_an_object_never_fails():
    assert Broken()._repr_html_() == "<pre>&lt;Broken&gt;</pre>"
    assert Hopeless()._repr_html_() == "<pre>&lt;Hopeless&gt;</pre>"
