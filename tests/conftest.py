"""Settings for all tests."""

import multiprocessing
import os

# Before PyTorch is imported: OpenMP threads that spin while they wait slow down whatever else runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import settings

# The first call of a kind may load or compile something, so no deadline; the same examples in each run.
settings.register_profile("seqlight", deadline=None, derandomize=True)
settings.load_profile("seqlight")

# What the process of a script does, with its environment, arguments and a file for what it prints.
SCRIPT = """
import os, runpy, sys
os.environ.clear()
os.environ.update(environment)
for descriptor in (1, 2):
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
sys.argv = arguments
sys.path.insert(0, os.path.dirname(arguments[0]))
runpy.run_path(arguments[0], run_name="__main__")
"""


@pytest.fixture(scope="session")
def script_processes():
    """Fork processes from one that has loaded PyTorch and Lightning, and does nothing else: loading takes seconds.

    It has one thread, and no gradient was ever asked for in it, so that a script may fork again.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lightning.pytorch"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.forkserver.ensure_running()
    return context


@pytest.fixture(scope="session")
def run_scripts(script_processes, tmp_path_factory):
    """Run scripts at once, each as ``python file arguments`` would be.

    They have the environment, without Lightning's seed and with what else is named.
    """

    def run(*scripts, timeout=280, **more):
        folder = tmp_path_factory.mktemp("scripts")
        environment = {name: one for name, one in os.environ.items() if name != "PL_GLOBAL_SEED"}
        processes = []
        for n, arguments in enumerate(scripts):
            names = {
                "environment": environment | {"OMP_NUM_THREADS": "1"} | more,
                "output": str(folder / f"{n}.txt"),
                "arguments": [str(one) for one in arguments],
            }
            processes.append(script_processes.Process(target=exec, args=(SCRIPT, names)))
            processes[-1].start()
        try:
            for process in processes:
                process.join(timeout)
        finally:
            for process in processes:
                process.kill()
        for n, process in enumerate(processes):
            assert process.exitcode == 0, (folder / f"{n}.txt").read_text()[-3000:]

    return run
