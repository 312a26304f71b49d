from __future__ import annotations

import os
import signal
import time

import pytest

import seqlight as sl
from seqlight.lit import watchdog as watching
from seqlight.lit.watchdog import STOP_NOTE, Watchdog
from seqlight.results.file_lock import Lock
from seqlight.results.run_folder import LOCKS, lock_path


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Return the watchdogs of two processes of a run, in this process."""
    monkeypatch.setattr(watching, "CHECK_INTERVAL", 0.0)
    (tmp_path / LOCKS).mkdir()
    locks = [Lock(lock_path(tmp_path, rank)) for rank in range(2)]
    for lock in locks:
        lock.take()
    yield [Watchdog(tmp_path, rank, 2, lock) for rank, lock in enumerate(locks)]
    for lock in locks:
        lock.release()


def test_no_alarm_while_both_processes_live(two):
    for one in two:
        one.require_shared_folder()
        one.check(lambda: False)
        one.wait(lambda: True)


def test_a_killed_neighbour_is_noticed(two):
    two[1].lock.release()
    with pytest.raises(sl.ResultsError, match="process 1 of 2 was killed, so all stop"):
        two[0].check(lambda: False)
    two[0].lock.release()
    with pytest.raises(sl.ResultsError, match="process 0 of 2 was killed"):
        two[1].wait(lambda: False)


def test_no_alarm_if_the_neighbour_ended_because_all_is_done(two):
    two[1].lock.release()
    answers = iter([False, True, True])
    two[0].wait(lambda: next(answers))
    two[0].check(lambda: True)  # in the batch that was the last of all


def test_a_note_says_why_a_process_stopped(two):
    two[1].stop("ValueError: only here")
    with pytest.raises(sl.ResultsError, match="all processes stop, for one did: process 1 of 2: ValueError: only here"):
        two[0].check(lambda: False)
    two[0].stop("ResultsError: because of the other")
    assert "only here" in (two[0].folder / LOCKS / STOP_NOTE).read_text()


def test_sigterm_stops_the_process(two):
    before = signal.getsignal(signal.SIGTERM)
    try:
        two[0].catch_sigterm()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        with pytest.raises(SystemExit) as end:
            two[0].check(lambda: False)
        assert end.value.code == 143
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_folder_that_is_not_shared_is_refused(two):
    lock_path(two[0].folder, 1).unlink()
    with pytest.raises(sl.ResultsError, match="expected a folder on a file system that all machines"):
        two[0].require_shared_folder()


def test_notes_stop_processes_where_locks_do_not_work(two, tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "is_held", lambda path: False)
    far = Watchdog(two[0].folder, 0, 2, two[0].lock)
    far.check(lambda: False)
    two[1].stop("KeyboardInterrupt: ")
    with pytest.raises(sl.ResultsError, match="KeyboardInterrupt"):
        far.check(lambda: False)


def test_a_full_disk_does_not_hide_the_error(two, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    two[1].stop("OSError: No space left on device")
    monkeypatch.undo()
    with pytest.raises(sl.ResultsError, match="process 1 of 2 was killed"):
        two[0].check(lambda: False)
