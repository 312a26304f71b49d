from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from seqlight.cli.command_parser import parse
from seqlight.cli.usage import UsageError


def command(
    model: str | dict[str, Any],
    out: Path,
    target: int | str | list[int] | dict[str, Any] = 0,
    init_args: dict[str, Any] | None = None,
    devices: int | str = "auto",
    retry: bool = False,
) -> None:
    """Do something to a model, in a sentence that is so long that it takes more than a line of any help that is shown.

    A second paragraph.

    Example:
        seqlight do --model mine.Net \\
            --out there

    Args:
        model: Which one.
        out: Where it goes.
        target: What is meant.
        devices: How many.
        retry: Again.
    """


def write(to: list[str], fdr: float | None = None) -> None:
    """Write files."""


def given(*words):
    return parse("do", list(words), command)


def test_options():
    found = given("--model", "a.B", "--out", "x", "--init-args", "a=1", "b.c=x", "--retry", "--target", "1", "2")
    assert found["model"] == "a.B"
    assert found["out"] == Path("x")
    assert found["init_args"] == {"a": 1, "b": {"c": "x"}}
    assert found["target"] == [1, 2]
    assert found["retry"] is True
    assert given("a.B", "x", "--target", "counts")["target"] == "counts"
    assert given("a.B", "x", "--target", "3")["target"] == 3


def test_parts_of_a_class():
    typed = ["--target.class_path", "t.S", "--target.init_args.task", "3", "--model.init_args.w", "1e-3"]
    found = given("a.B", "x", *typed)
    assert found["target"] == {"class_path": "t.S", "init_args": {"task": 3}}
    assert found["model"] == {"class_path": "a.B", "init_args": {"w": 1e-3}}


def test_a_file_and_what_is_typed(tmp_path, capsys):
    path = tmp_path / "a.yaml"
    path.write_text("model: {class_path: a.B, init_args: {w: 3, d: 2}}\nout: x\narguments: {n: 3, m: 4}\ndevices: 2\n")
    for words in (
        ("--config", str(path), "--model.init_args.w", "5", "--init_args.m", "9", "--devices", "1"),
        ("--devices", "1", "--init_args.m", "9", "--model.init_args.w", "5", "--config", str(path)),
    ):
        found = given(*words)
        assert found["model"] == {"class_path": "a.B", "init_args": {"w": 5, "d": 2}}
        assert found["init_args"] == {"n": 3, "m": 9}
        assert found["devices"] == 1
    assert given("--config", str(path))["init_args"] == {"n": 3, "m": 4}
    with pytest.raises(SystemExit):
        given("--config", str(path), "--model.init_args.w", "5", "--print_config")
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["init_args"] == {"w": 5, "d": 2}
    assert printed["target"] == 0
    path.write_text("formats: [tsv, bed]\nfdr: 0.1\n")
    assert parse("write", ["--config", str(path)], write) == {"to": ["tsv", "bed"], "fdr": 0.1}
    assert parse("write", ["--config", str(path), "--to", "npz"], write)["to"] == ["npz"]
    assert parse("write", ["--config", str(path), "--target-fdr", "0.2"], write)["fdr"] == 0.2
    path.write_text("model: a.B\nout: x\ninit_args: {a: 1}\narguments: {n: 3}\n")
    with pytest.raises(UsageError, match="there are arguments and init_args"):
        given("--config", str(path))


def test_the_help(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        given("--help")
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: seqlight do --model MODEL --out OUT [options]\n")
    assert "    seqlight do --model mine.Net \\\n        --out there\n" in shown
    assert max(map(len, shown.splitlines())) <= 80
    titles = [line[:-1] for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Example", "model", "what to do", "output", "devices", "also"]
    assert "--target TARGET       What is meant. (default: 0)" in shown
    assert "--retry               Again.\n" in shown
    assert "arguments" not in shown
