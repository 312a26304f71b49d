import signal
import time

import psutil
import pytest

import seqlight as sl
from modisco_patterns import write_program
from seqlight.motifs.programs import find_program, run_program


def test_a_program_is_found_on_the_path_and_its_output_kept(tmp_path, monkeypatch):
    write_program(tmp_path / "bin", "teller", "print('said', *sys.argv[1:]); print('warned', file=sys.stderr)")
    assert find_program("teller") is None
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    assert find_program("teller") == str(tmp_path / "bin" / "teller")
    run_program([find_program("teller"), "a b"], tmp_path / "log")
    command, *said = (tmp_path / "log").read_text().splitlines()
    assert command == f"$ {tmp_path}/bin/teller 'a b'"
    assert sorted(said) == ["said a b", "warned"]


@pytest.mark.reliability(
    "command line",
    "TF-MoDISco or Fi-NeMo that fails",
    "one sentence with its last line and the file of all that it said; results of earlier steps stay",
)
def test_a_program_that_fails(tmp_path):
    write_program(tmp_path, "breaker", "print('on the way'); sys.exit('no seqlets\\n')")
    with pytest.raises(sl.ResultsError, match=r"breaker failed with exit status 1 \(no seqlets\): all .* in .*log"):
        run_program([tmp_path / "breaker"], tmp_path / "log")
    assert "on the way" in (tmp_path / "log").read_text()


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.reliability(
    "command line",
    "Ctrl-C or SIGTERM while TF-MoDISco or Fi-NeMo runs",
    "the program and all processes that it has started end too, and nothing half-written is left",
)
def test_an_interruption_ends_what_a_program_has_started(tmp_path):
    text = f"""
import subprocess, time
child = subprocess.Popen(["sleep", "60"])
with open({str(tmp_path / "pids")!r}, "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(60)
"""
    write_program(tmp_path, "sleeper", text)

    def interrupt(*_):
        if (tmp_path / "pids").exists() and " " in (tmp_path / "pids").read_text():
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_program([tmp_path / "sleeper"], tmp_path / "log")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    pids, deadline = list(map(int, (tmp_path / "pids").read_text().split())), time.monotonic() + 10
    while any(map(runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)  # a process that got its signal may take a moment on a busy machine
    assert not any(map(runs, pids))


def test_a_program_that_says_nothing(tmp_path):
    write_program(tmp_path, "silent", "sys.exit(3)")
    with pytest.raises(sl.ResultsError, match=r"silent failed with exit status 3 \(\$ "):
        run_program([tmp_path / "silent"], tmp_path / "log")
