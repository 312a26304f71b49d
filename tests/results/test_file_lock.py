from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

import seqlight as sl
from seqlight.results.file_lock import Lock, is_held

CODE = """
import sys, time
from pathlib import Path
from seqlight.results.file_lock import Lock
lock = Lock(Path(sys.argv[1]))
lock.take()
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path):
    """Another process that holds the lock."""
    child = subprocess.Popen([sys.executable, "-c", CODE, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "taken\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_it_ends_with_its_owner_however_that_ends(tmp_path, owner):
    path = tmp_path / "lock"
    assert is_held(path)
    with pytest.raises(sl.ResultsError, match=f"in use by process {owner.pid} on .*: wait"):
        Lock(path).take()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert not is_held(path)
    lock = Lock(path)
    lock.take()
    assert path.read_text().startswith(f"process {os.getpid()} on ")
    lock.release()


def test_the_same_process_is_refused_too_and_the_lock_stays(tmp_path):
    path = tmp_path / "lock"
    lock = Lock(path)
    lock.take()
    with pytest.raises(sl.ResultsError, match="in use"):
        Lock(path).take()
    assert is_held(path)
    code = (
        f"from pathlib import Path; from seqlight.results.file_lock import is_held; assert is_held(Path({str(path)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    lock.release()
    lock.release()
    assert not is_held(path)


def test_a_file_that_is_not_there_is_not_held(tmp_path):
    assert not is_held(tmp_path / "lock")
