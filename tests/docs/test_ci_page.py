"""The page about continuous integration: its blocks run, its test fails as it says, and its workflow is one."""

import re

import pytest
import yaml

from seqlight.studies.golden import golden  # here, so that it is not loaded anew in each run of pytest  # noqa: F401

from .conftest import DOCS

pytest_plugins = "pytester"

PAGE = (DOCS / "studies" / "ci.md").read_text()


@pytest.fixture(scope="module")
def page(run_page, forked_workers):
    return run_page("studies/ci.md")[0]


def test_what_is_printed_is_what_comes_out(page):
    assert page.printed == page.written
    assert page.names["found"].failed


def test_the_golden_record_fails_as_it_says(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    test = re.search(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[1]
    options = ["-p", "seqlight.studies.golden.pytest_plugin"]

    def run(text, *more):
        pytester.makepyfile(test_model=text)
        return pytester.runpytest_inprocess(*options, *more)

    run(test, "--attribution-golden-update").assert_outcomes(passed=1)
    assert [path.relative_to(pytester.path).as_posix() for path in pytester.path.rglob("*.npz")] == [
        "attribution_golden/test_model/test_attributions.npz"
    ]
    run(test).assert_outcomes(passed=1)
    failed = run(test.replace("make_model(),", "make_model(1),"))
    failed.assert_outcomes(failed=1)
    (said,) = [line.removeprefix("E").strip() for line in failed.outlines if line.startswith("E  ")]
    assert said in PAGE


def test_the_workflow_is_one_and_its_commands_exist():
    from seqlight.cli.study_commands import study_command

    workflow = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)[1])
    steps = workflow["jobs"]["attributions"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    options = re.findall(r"--(\w+)", commands[2])
    assert options == ["model", "checkpoint", "data", "rows", "threads", "out"]
    assert set(options) <= set(study_command.__annotations__)
    assert commands[3] == "seqlight study compare studies/main after --fail-above 1e-3"
