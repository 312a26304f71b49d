from __future__ import annotations

from matplotlib.figure import Figure

from seqlight.report.ruler import Ruler


def test_numbers():
    assert [Ruler(4).number(x) for x in (0, 4, 9)] == ["-4", "0", "+5"]
    assert [Ruler().number(x) for x in (0, 4)] == ["0", "4"]


def test_labels():
    assert (Ruler().label, Ruler().start) == ("position", "the beginning of the sequence")
    assert (Ruler(4).label, Ruler(4).start) == ("position", "position 0")
    assert (Ruler(4, "the TSS").label, Ruler(4, "the TSS").start) == ("position from the TSS", "the TSS")


def test_an_axis():
    ax = Figure().subplots()
    Ruler(3).write(ax)
    assert ax.xaxis.get_major_formatter()(5, 0) == "+2"
    ax.set_xlim(0, 103)
    assert [Ruler(3).number(x) for x in ax.xaxis.get_major_locator()()][:3] == ["-20", "0", "+20"]
