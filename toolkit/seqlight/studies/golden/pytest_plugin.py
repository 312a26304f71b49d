"""The pytest plugin: a fixture that compares attributions with those that a test keeps.

Only pytest imports this file, in each of its runs; so it imports nothing but pytest until the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from seqlight.studies.golden.golden import AttributionGolden

OPTION = "--attribution-golden-update"
PROPERTY = "attribution golden"
PACKAGES = {"seqlight", "seqlight_callbacks"}


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the option, and keep pytest from rewriting the assertions of all of seqlight."""
    parser.getgroup("seqlight").addoption(
        OPTION,
        action="store_true",
        help="Write the golden records of attribution_golden instead of comparing with them.",
    )
    # pytest does that to each package with a plugin, which would make `import seqlight` three times as long wherever
    # it cannot cache what it compiles. There is no public way out; without the attribute, it is only slower.
    marked = getattr(getattr(pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked -= PACKAGES


@pytest.fixture
def attribution_golden(request: pytest.FixtureRequest) -> AttributionGolden:
    """Compare attributions with those of an earlier run: ``attribution_golden(model, X, target=0, rtol=1e-3)``.

    It also takes ready attributions, ``attribution_golden(attributions)``. They are kept in the folder
    attribution_golden beside the test, and written with --attribution-golden-update.
    """
    from seqlight.studies.golden.golden import AttributionGolden

    def written(path: Path) -> None:
        request.node.user_properties.append((PROPERTY, str(path)))

    test = request.node.nodeid.partition("::")[2]
    return AttributionGolden(request.node.path, test, request.config.getoption(OPTION), written)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which files were written."""
    reports = [one for several in terminalreporter.stats.values() for one in several]
    if paths := sorted(_written(reports)):
        terminalreporter.section(f"{len(paths)} golden record{'s' * (len(paths) > 1)} written")
        for path in paths:
            terminalreporter.write_line(path)


def _written(reports: Iterable[Any]) -> set[str]:
    return {value for one in reports for name, value in getattr(one, "user_properties", ()) if name == PROPERTY}
