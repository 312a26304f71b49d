"""Locks where the file system has none: each test is of two processes, or of what another machine has left."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time

import pytest

import seqlight as sl
from seqlight.results import lease as lease_module
from seqlight.results.file_lock import Lock, is_held
from seqlight.results.lease import Lease
from seqlight.results.run_folder import claim_folder, lock_path

CODE = """
import fcntl, sys, time
from pathlib import Path
def none(*_):
    raise OSError({number}, "no locks")
fcntl.lockf = none
from seqlight.results.file_lock import Lock
lock = Lock(Path(sys.argv[1]))
lock.take()
print("taken", flush=True)
time.sleep(60)
"""
NONE = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP]


@pytest.fixture(params=NONE, ids=lambda one: errno.errorcode[one])
def number(request, monkeypatch):
    """A file system without locks, in this process."""

    def none(*_):
        raise OSError(request.param, "no locks")

    monkeypatch.setattr(fcntl, "lockf", none)
    return request.param


def owner(path, number):
    child = subprocess.Popen(
        [sys.executable, "-c", CODE.format(number=number), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "taken\n"
    return child


@pytest.mark.reliability(
    "results folders",
    "a file system that has no locks, and two runs into one folder",
    "the second is refused until the first has ended, however it ends",
)
def test_one_at_a_time_without_locks(tmp_path, monkeypatch):
    child = owner(tmp_path / "lock", errno.ENOLCK)
    try:
        # Refused on a machine that has locks, and then on one that has none.
        for _ in range(2):
            assert is_held(tmp_path / "lock")
            with pytest.raises(
                sl.ResultsError, match=f"in use by process {child.pid} on .*: wait until that has ended"
            ):
                Lock(tmp_path / "lock").take()
            monkeypatch.setattr(fcntl, "lockf", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOLCK, "none")))
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert not is_held(tmp_path / "lock")
    lock = Lock(tmp_path / "lock")
    lock.take()
    assert is_held(tmp_path / "lock")
    lock.release()
    assert not is_held(tmp_path / "lock")
    assert sorted(os.listdir(tmp_path)) == ["lock"]


def test_a_folder_is_claimed_without_locks(tmp_path, number):
    lock = claim_folder(tmp_path)
    with pytest.raises(sl.ResultsError, match="is in use by this process"):
        claim_folder(tmp_path)
    lock.release()
    left = Lock(lock_path(tmp_path, 3))
    left.take()
    with pytest.raises(sl.ResultsError, match=r"process .* of an earlier run still works in"):
        claim_folder(tmp_path)
    left.release()
    claim_folder(tmp_path).release()


def leave(path, age, **changes):
    """Leave a lease as a process of another machine does that has died so many seconds ago."""
    lease = path.with_name(f"{path.name}.lease")
    path.touch()
    lease.write_text(json.dumps({"host": "elsewhere", "space": "", "process": os.getpid(), "began": "1"} | changes))
    os.utime(lease, (time.time() - age,) * 2)


@pytest.mark.reliability(
    "results folders",
    "without locks, a run of another machine that has died",
    "the folder is free two minutes later, even if a process here has the same number",
)
def test_what_another_machine_has_left(tmp_path, number):
    path = tmp_path / "lock"
    leave(path, age=60)
    assert is_held(path)
    with pytest.raises(sl.ResultsError, match="is in use by"):
        Lock(path).take()
    leave(path, age=200)
    assert not is_held(path)
    lock = Lock(path)
    lock.take()
    lock.release()
    here = lease_module._who(os.getpid())
    for changes in ({**here, "began": "1"}, {**here, "process": 2**22 + 1}):
        leave(path, age=0, **changes)
        assert not is_held(path)
    for half in ("", "{", "[]"):
        path.with_name("lock.lease").write_text(half)
        assert is_held(path)
        os.utime(path.with_name("lock.lease"), (1, 1))
        assert not is_held(path)
        lock.take()
        lock.release()


def test_a_lease_is_renewed_and_a_child_does_not_end_it(tmp_path, monkeypatch):
    monkeypatch.setattr(lease_module, "BEAT", 0.01)
    lease = Lease(tmp_path / "lock")
    assert lease.take()
    os.utime(lease.path, (1, 1))
    deadline = time.monotonic() + 20
    while lease.path.stat().st_mtime == 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    monkeypatch.setattr(os, "getpid", lambda: lease._process + 1)
    Lease.release(lease)
    monkeypatch.undo()
    assert lease.path.exists()
    lease.path.unlink()


def test_a_lease_that_another_was_faster_to_take_stays(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    leave(path, age=200)
    mine, other = Lease(path), Lease(path)
    content = mine._content

    def late():
        # Another process takes it between the check and the clearing.
        read = content()
        assert other.take()
        return read

    monkeypatch.setattr(mine, "_content", late)
    assert not mine.take()
    assert other.is_alive()
    other.release()
    assert not mine.is_alive()
