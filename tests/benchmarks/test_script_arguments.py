"""Scripts that count and time: their help is printed, names they do not know are refused, and nothing is written."""

import os
import runpy
import sys

import harness
import pytest
import torch

SCRIPTS = {"count_kernels": "another", "count_waits": "another", "host_time": "another", "plain_path": "many"}
COMMANDS = [("count_kernels", "count"), ("host_time", "model"), ("plain_path", "time")]


@pytest.fixture
def end(monkeypatch, capsys):
    """Return a function that runs a script, and returns its status and what it printed; what it sets is undone."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(harness, "write_results", lambda *_: pytest.fail("results were written"))
    monkeypatch.setattr(harness, "run_script", lambda *_: pytest.fail("something was measured"))
    for name in ("SEQLIGHT_NATIVE", "TRITON_INTERPRET"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
        if not os.environ[name]:
            monkeypatch.delenv(name)
    threads = torch.get_num_threads()

    def run(name, *arguments):
        for package in ("captum", "tangermeme") if name in ("count_kernels", "plain_path") else ():
            pytest.importorskip(package)
        script = harness.RESULTS.parent / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(script), *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(script), run_name="__main__")
        return ended.value.code, *capsys.readouterr()

    yield run
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_what_the_script_says_of_itself(end, name):
    status, out, err = end(name, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: {name}.py [-h]")
    assert f"Usage: ``python benchmarks/{name}.py" in out


@pytest.mark.parametrize(("name", "argument"), SCRIPTS.items())
def test_what_is_not_known_is_refused(end, name, argument):
    status, out, err = end(name, argument)
    assert (status, out) == (2, "")
    assert f"invalid {'int value' if name == 'plain_path' else 'choice'}: {argument!r}" in err


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_a_command_of_a_script_says_what_it_wants(end, name, command):
    status, _, err = end(name, command, "another", "another")
    assert status == 2
    assert f"usage: {name}.py {command} " in err
    assert "invalid choice: 'another'" in err
