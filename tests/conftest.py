"""Settings for all tests, and fixtures that start processes without loading PyTorch again."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

# Set before PyTorch is imported: OpenMP threads that spin while they wait slow down everything else.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch
from hypothesis import settings

import garbage_collection
import pretend_accelerator
from cut_windows import cut as cut
from cut_windows import in_a_process as in_a_process
from cut_windows import seqlets as seqlets
from forked_workers import _worker_server as _worker_server
from forked_workers import forked_workers as forked_workers
from one_thread import _one_thread as _one_thread
from pretend_accelerator import accelerator as accelerator
from pretend_accelerator import pretend as pretend
from toy_genome import fasta as fasta
from toy_genome import genome as genome
from triton_interpreter import ignore_without_triton

# Where there is no such device, PyTorch would keep each seed for it, with the text of the whole stack.
for devices in (torch.cuda, torch.xpu):
    if not devices._is_compiled():
        devices.manual_seed_all = lambda seed: None

# No deadline, since a first call may load or compile something; the same examples in each run.
settings.register_profile("seqlight", deadline=None, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=500)  # pytest --hypothesis-profile thorough
settings.load_profile("seqlight")

# Also a module for tests, which start processes with it.
spec = importlib.util.spec_from_file_location("forkserver", Path(__file__).with_name("forkserver.py"))
forkserver = sys.modules["forkserver"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(forkserver)


class KernelsInTriton:
    """A plugin, because hooks of this file do not see the doctests of the sources."""

    @staticmethod
    def pytest_ignore_collect(collection_path):
        return ignore_without_triton(collection_path)


def pytest_addoption(parser):
    parser.addoption(
        "--on-accelerator",
        action="store_true",
        help="run on the accelerator of this machine, or else on a pretend one, what would run on the CPU",
    )


def pytest_configure(config):
    """Start the fork servers once, for all worker processes of pytest."""
    config.pluginmanager.register(KernelsInTriton())
    config.pluginmanager.register(garbage_collection)
    if hasattr(os, "fork") and forkserver.SERVERS not in os.environ:
        running = forkserver.servers(torch=["torch"], lightning=["lightning.pytorch", "pandas", "seqlight.lit.run"])
        running.__enter__()
        config.add_cleanup(lambda: running.__exit__(None, None, None))
    in_charge = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if config.getoption("--on-accelerator") and not in_charge:
        pretend_accelerator.run_on_accelerator(config)


def pytest_collection_finish(session):
    """Load the pretend device before any test runs, if some need it."""
    pretend_accelerator.load_for(session.items)


@pytest.fixture(scope="session")
def python():
    """Return a function that runs ``python arguments`` without loading PyTorch again, and requires that it succeeds."""

    def run(*arguments, loaded="torch", timeout=120, **more):
        if forkserver.SERVERS in os.environ:
            process = forkserver.Process(arguments, loaded, **more)
            try:
                done = subprocess.CompletedProcess(process.args, process.wait(timeout), *process.communicate())
            finally:
                process.kill()
        else:
            command = [sys.executable, *map(str, arguments)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **more)
        assert done.returncode == 0, done.stderr or done.stdout[-3000:]
        return done

    return run


@pytest.fixture(scope="session")
def run_scripts():
    """Return a function that runs scripts at the same time, each like ``python file arguments``.

    They have this environment, without Lightning's seed and with further variables.
    """

    def run(*scripts, timeout=280, **more):
        environment = {name: one for name, one in os.environ.items() if name != "PL_GLOBAL_SEED"}
        environment |= {"OMP_NUM_THREADS": "1"} | more
        processes = [forkserver.Process(arguments, "lightning", env=environment) for arguments in scripts]
        try:
            for process in processes:
                process.wait(timeout)
        finally:
            for process in processes:
                process.kill()
        for process in processes:
            assert process.returncode == 0, "".join(process.communicate())

    return run
