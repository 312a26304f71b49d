from __future__ import annotations

import logging
import os
import sys
import warnings

import pytest

from seqlight.cli.console import RANKS, is_reported_by_first, plain_messages, process_number, say
from seqlight.errors import BatchWarning, MemoryWarning


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield


def warn(category):
    warnings.warn("something\n odd", category, stacklevel=1)


def test_our_warnings_are_plain_lines(capsys):
    others = []
    warnings.showwarning = lambda message, category, *_: others.append(category)
    with plain_messages():
        warn(BatchWarning)
        warn(UserWarning)
    assert capsys.readouterr().err == "seqlight: warning: something odd\n"
    assert others == [UserWarning]
    warn(BatchWarning)
    assert others == [UserWarning, BatchWarning]
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", RANKS)
def test_the_first_of_several_processes_alone_speaks(name, monkeypatch, capsys):
    monkeypatch.setenv(name, "1")
    assert process_number() == 1
    with plain_messages():
        print("results")
        warn(BatchWarning)
        warn(UserWarning)
        warn(MemoryWarning)  # of this process alone
    print("after")
    shown = capsys.readouterr()
    assert shown.out == "after\n"
    assert shown.err == "seqlight: warning (process 1): something odd\n"


def test_lightning_says_nothing_of_itself(caplog):
    log = logging.getLogger("lightning.fabric.utilities.distributed")
    before = log.level
    with plain_messages(), caplog.at_level(logging.INFO):
        log.info("Initializing distributed")
    assert not caplog.records
    assert log.level == before


def test_an_error_is_told_once(monkeypatch):
    parent = os.getppid()
    assert not is_reported_by_first(parent)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_reported_by_first(parent, seconds=0.1)  # the first process goes on, and may never report it
    assert is_reported_by_first(parent + 1, seconds=0.1)


def test_a_closed_terminal_is_no_error(monkeypatch):
    class Closed:
        def write(self, text):
            raise BrokenPipeError

        flush = write

    monkeypatch.setattr(sys, "stderr", Closed())
    say("words")
