"""Pre-commit hooks and the public workflow run what the Makefile says, on the versions that pyproject.toml allows."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text())
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def dry_run(*arguments):
    """Return what make would do, and not what it would for the make that may be running these tests."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--dry-run", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=True).stdout


def commands(target):
    """Return the commands that make would run for `target` if everything was installed."""
    return dry_run("--old-file=.venv/.installed-dev", target).splitlines()


def lowest(package):
    """Return the lower bound that pyproject.toml gives a dependency."""
    (bound,) = (one.removeprefix(f"{package}>=") for one in PROJECT["dependencies"] if one.startswith(f"{package}>="))
    return bound


def matrix():
    return WORKFLOW["jobs"]["check"]["strategy"]["matrix"]


def test_hooks_run_what_the_makefile_runs():
    (local,) = HOOKS
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    entries = [hook["entry"] for hook in local["hooks"]]
    assert entries == [*commands("lint"), "make quick"]


def test_quick_tests_exist():
    (command,) = commands("quick")
    paths = [word for word in command.split() if word.startswith("tests/")]
    assert len(paths) > 3
    assert all((ROOT / path).exists() for path in paths)


def test_the_check_is_lint_and_all_tests():
    assert commands("check") == [*commands("lint"), *commands("test")]


def test_the_workflow_runs_make():
    steps = WORKFLOW["jobs"]["check"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["make ${{ matrix.versions.target }}"]
    assert [one["target"] for one in matrix()["versions"]] == ["test", "check"]
    assert steps[-1]["env"] == {name: f"${{{{ matrix.versions.{name.lower()} }}}}" for name in ("TORCH", "LIGHTNING")}


@pytest.mark.parametrize(("variable", "package"), [("TORCH", "torch"), ("LIGHTNING", "lightning")])
def test_make_installs_what_the_workflow_asks_for(variable, package):
    asked = dry_run("--always-make", "check", f"{variable}={package}==1.2.3")
    assert re.search(rf"pip install .*{package}==1\.2\.3", asked)


def test_every_supported_python_is_checked():
    assert PROJECT["requires-python"] == f">={matrix()['python'][0]}"
    assert matrix()["python"] == ["3.11", "3.12", "3.13"]


def test_the_lowest_and_the_newest_versions_are_checked():
    low, new = matrix()["versions"]
    assert low["torch"] == f"torch=={lowest('torch')}.*"
    lightning = f"lightning=={lowest('lightning')}.*"
    assert low["lightning"] == f"{lightning} pytorch-{lightning}"
    assert (new["torch"], new["lightning"]) == ("torch", "lightning pytorch-lightning")


def test_no_file_names_a_host_of_packages():
    for path in [ROOT / ".pre-commit-config.yaml", *(ROOT / ".github").rglob("*.yml")]:
        assert "://" not in path.read_text()
        assert "index-url" not in path.read_text()


def test_the_badge_of_the_readme_is_that_of_the_workflow():
    badge = "../../actions/workflows/check.yml"
    assert f"[![check]({badge}/badge.svg)]({badge})" in (ROOT / "README.md").read_text()


def test_templates_of_issues_ask_for_something():
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 2
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= set(form)
        assert any(field["validations"]["required"] for field in form["body"] if "validations" in field)
