"""Fork processes from a server that has loaded PyTorch, or Lightning, since loading takes seconds.

As a script: ``python forkserver.py socket module ...``. The server has one thread and never computes gradients, so that
its forks may fork again. It loads the modules at the first request, and ends when its standard input is closed.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

# The environment variable with the folder of the sockets.
SERVERS = "SEQLIGHT_TEST_FORKSERVERS"


def serve(path, modules):
    """Answer requests until standard input is closed; return None then, and in a forked process its task."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        while True:
            if sys.stdin in select.select([sys.stdin, listener], [], [])[0]:
                return None
            load(modules)
            with listener.accept()[0] as connection, connection.makefile("rw") as file:
                task = json.loads(file.readline())
                if isinstance(task, dict) and task.get("adopted"):
                    if fork_for_adoption():
                        redirect(task["streams"])
                        file.write(f"{os.getpid()}\n")
                        return task | {"streams": []}
                    continue
                answer = status(task) if isinstance(task, int) else os.fork()
                if not isinstance(task, int) and not answer:
                    return task
                file.write(f"{json.dumps(answer)}\n")


@functools.cache
def load(modules):
    """Import, and have the garbage collector leave alone what is there: a fork copies each page that it touches."""
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def status(pid):
    """Return the exit status of a process, as subprocess does, or None while it runs."""
    ended, found = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(found) if ended else None


def fork_for_adoption():
    """Fork, and return whether this is the new process, once it is a child of the process that adopts orphans."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return False
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.001)
    return True


def redirect(streams):
    """Put files in the place of the standard streams."""
    for descriptor, path in enumerate(streams):
        opened = os.open(path, os.O_RDONLY if not descriptor else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)


def become(task):
    """Run ``python arguments`` in this process, in a session of its own."""
    os.setsid()
    os.chdir(task["folder"])
    os.environ.clear()
    os.environ.update(task["environment"])
    redirect(task["streams"])
    if "torch" in sys.modules and "OMP_NUM_THREADS" in os.environ:  # PyTorch read this variable when it was loaded
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    safe_path = task["arguments"][0] == "-P"
    first, *others = task["arguments"][safe_path:]
    paths = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    folder = os.path.dirname(first) if not first.startswith("-") else ""
    sys.path[:0] = [*([] if safe_path else [folder]), *map(os.path.abspath, paths)]
    if first == "-c":
        sys.argv = ["-c", *others[1:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(others[0], "<string>", "exec"), vars(main))
    elif first == "-m":
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *others]
        runpy.run_path(first, run_name="__main__")


class Process:
    """Runs ``python arguments`` in a fork of a server, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, arguments, loaded="torch", env=None, input=""):
        self.server = os.path.join(os.environ[SERVERS], loaded)
        self.args, self.returncode = [str(one) for one in arguments], None
        folder = tempfile.mkdtemp(dir=os.environ[SERVERS])
        self.streams = [os.path.join(folder, name) for name in ("stdin", "stdout", "stderr")]
        Path(self.streams[0]).write_text(input)
        task = {
            "arguments": self.args,
            "environment": dict(os.environ if env is None else env),
            "folder": os.getcwd(),
            "streams": self.streams,
        }
        self.pid = ask(self.server, task)

    def poll(self):
        if self.returncode is None:
            self.returncode = ask(self.server, self.pid)
        return self.returncode

    def wait(self, timeout):
        deadline, pause = time.monotonic() + timeout, 0.005
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(pause)
            pause = min(0.1, 1.5 * pause)
        return self.returncode

    def kill(self):
        """Kill the process if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait(10)

    def communicate(self, timeout=280):
        """Wait for the process, and return its output and errors."""
        self.wait(timeout)
        return tuple(Path(one).read_text() if os.path.exists(one) else "" for one in self.streams[1:])


def write_python(path, loaded):
    """Write a program that is called as Python is, with a script and its arguments, and runs it in a fork."""
    command = shlex.join([sys.executable, "-IS", os.path.abspath(__file__), "--fork", loaded])
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)
    return path


def run_in_fork(loaded, arguments):
    """Run ``python arguments`` in a fork of a server, which ends with this process and as it does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    process = Process([one for one in arguments if one != "-u"], loaded)
    try:
        process.wait(280)
    finally:
        process.kill()
        for stream, text in zip((sys.stdout, sys.stderr), process.communicate(), strict=True):
            stream.write(text)
    sys.exit(process.returncode)


def ask(server, question):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(server)
        with connection.makefile("rw") as file:
            file.write(f"{json.dumps(question)}\n")
            file.flush()
            return json.loads(file.readline())


@contextlib.contextmanager
def servers(**modules):
    """Run a server for each name, which loads its modules at the first request; processes find them by a variable."""
    with server_folder(**modules) as folder:
        os.environ[SERVERS] = folder
        try:
            yield
        finally:
            del os.environ[SERVERS]


@contextlib.contextmanager
def server_folder(**modules):
    """Run a server for each name; in the folder are their sockets."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # With more threads, NumPy would start some before the fork.
        env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        running = [
            subprocess.Popen([sys.executable, __file__, f"{folder}/{name}", *some], stdin=subprocess.PIPE, env=env)
            for name, some in modules.items()
        ]
        while not all(os.path.exists(f"{folder}/{name}") for name in modules):
            assert all(one.poll() is None for one in running), "a server has ended"
            time.sleep(0.005)
        try:
            yield folder
        finally:
            for one in running:
                one.stdin.close()
                one.wait()


if __name__ == "__main__":
    del sys.path[0]
    if sys.argv[1] == "--fork":
        run_in_fork(sys.argv[2], sys.argv[3:])
    task = serve(sys.argv[1], tuple(sys.argv[2:]))
    if task:
        become(task)
