"""What a function reads is found where it has no name of its own there: in texts, in modules that are handed on."""

from __future__ import annotations

import importlib
import sys

import pytest

from seqlight.results.fingerprints import describe_argument


def written(source):
    scope = {"__name__": "__main__"}
    exec(compile(source, "<cell>", "exec"), scope)
    return describe_argument(scope["target"])


@pytest.mark.reliability(
    "runs begun again", "a target that finds another value by eval, globals() or getattr", "refused as another run"
)
@pytest.mark.parametrize(
    "source",
    [
        "K = 2\ntarget = lambda y: y * globals()['K']",
        "K = 2\ntarget = lambda y: eval('y * K')",
        "class C: a, b = 2, 0\ntarget = lambda y: getattr(C, 'a') * C.b",
    ],
)
def test_what_is_looked_up_by_a_text_counts(source):
    assert written(source) == written(source) != written(source.replace("2", "3"))
    assert written(source) == written("OTHER = 1\n" + source)


@pytest.mark.reliability(
    "runs begun again", "a target that hands a module of settings on, or reads it by getattr", "refused as another run"
)
@pytest.mark.parametrize(
    "reads", ["scale(settings, y)", "y * getattr(settings, 'SCALE')", "y * vars(settings)['SCALE']"]
)
def test_of_a_module_that_is_handed_on_all_counts(reads, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "settings_of_a_target.py"
    module.write_text("SCALE = 2\nCOLUMN = 1\n")
    importlib.invalidate_caches()
    settings = importlib.import_module(module.stem)
    source = (
        "import settings_of_a_target as settings\ndef scale(of, y): return y * of.SCALE\n"
        f"def target(y): return {reads} * settings.COLUMN"
    )
    first = written(source)
    monkeypatch.setattr(settings, "SCALE", 3)
    assert written(source) != first


@pytest.mark.reliability(
    "runs begun again", "a target that reads a variable of the environment", "refused as another run if it is another"
)
@pytest.mark.parametrize("reads", ["os.environ['TASK']", "os.environ.get('TASK')", "os.getenv('TASK', '0')"])
def test_variables_of_the_environment_count(reads, monkeypatch):
    source = f"import os\ntarget = lambda y: (y[int({reads})], os.environ.get('LOCAL_RANK'))"
    monkeypatch.setenv("TASK", "0")
    first = written(source)
    monkeypatch.setenv("LOCAL_RANK", "1")  # the number of the process does not matter
    assert written(source) == first
    monkeypatch.setenv("TASK", "1")
    assert written(source) != first
    monkeypatch.delenv("TASK")
    assert written(source) != first


@pytest.mark.reliability(
    "runs begun again", "a target that finds a module by import_module, __import__ or sys.modules", "told apart by it"
)
@pytest.mark.parametrize(
    "found",
    [
        "importlib.import_module('settings_by_name')",
        "importlib.import_module(name='settings_by_name')",
        "__import__('settings_by_name')",
        "sys.modules['settings_by_name']",
        "sys.modules.get('settings_by_name')",
    ],
)
def test_modules_that_are_found_by_name_count(found, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "settings_by_name.py").write_text("SCALE = 2\nOTHER = 1\n")
    importlib.invalidate_caches()
    settings = importlib.import_module("settings_by_name")
    source = f"import importlib, sys\ntarget = lambda y: y * {found}.SCALE"
    first = written(source)
    monkeypatch.setattr(settings, "OTHER", 3)
    assert written(source) == first
    monkeypatch.setattr(settings, "SCALE", 3)
    assert written(source) != first


GAIN = 1


def by_own_name(y):
    return sys.modules[__name__].GAIN * y


def test_a_module_that_finds_itself(monkeypatch):
    first = describe_argument(by_own_name)
    monkeypatch.setattr(sys.modules[__name__], "GAIN", 2)
    assert describe_argument(by_own_name) != first


def test_no_module_is_loaded_for_a_key(tmp_path, monkeypatch):
    """A dictionary may be called modules, and its keys as scripts are."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "script_of_a_key.py").write_text("raise SystemExit(1)\n")
    written("modules = {'script_of_a_key': 2}\ntarget = lambda y: y * modules['script_of_a_key']")
