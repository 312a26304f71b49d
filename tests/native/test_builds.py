"""Each build of the loops gives what the rules promise, also those that are not this machine's own."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import seqlight
from seqlight.native import library as loops
from seqlight.native.library import library

TESTS = Path(__file__).parents[1]
FILES = [
    *("attention", "contributions", "convolution", "elementwise", "layer_norm"),
    *("linear", "pooling", "smooth_activations", "softmax", "unbind"),
]
COMPILER = shlex.split(os.environ.get("CC", "cc"))
BUILDS = {
    "plain": ([], 0),
    "AVX2": (["-mavx2", "-mfma"], 8),
    "AVX-512": (["-mavx2", "-mfma", "-D__AVX512F__", f"-I{Path(__file__).parent / 'emulated'}"], 16),
}

RUN = """
import sys, pytest
from seqlight.native.library import library
print(library().lanes(), flush=True)
sys.exit(pytest.main(sys.argv[1:]))
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or shutil.which(COMPILER[0]) is None,
    reason="no compiler for them here",
)


@pytest.mark.parametrize("build", [pytest.param("plain", marks=pytest.mark.slow), "AVX2", "AVX-512"])
def test_rules_hold_on_every_build(build, tmp_path, monkeypatch, python):
    flags, lanes = BUILDS[build]
    if library() is not None and library().lanes() == lanes:
        pytest.skip("it is what all other tests use here")
    if lanes and (library() is None or not library().lanes_here()):
        pytest.skip("this machine cannot run it")
    package = shutil.copytree(
        Path(seqlight.__file__).parent, tmp_path / "seqlight", ignore=shutil.ignore_patterns("_loops*", "__pycache__")
    )
    same_bits = ["-ffp-contract=off", "-fno-trapping-math"]
    sources = map(str, (package / "native").glob("*.c"))
    made = ["-O2", "-std=c11", "-w", "-shared", "-fPIC", "-o", str(package / "native" / "_loops.so"), *sources, "-lm"]
    subprocess.run([*COMPILER, *same_bits, *flags, *made], check=True)

    files = [str(TESTS / "attribution" / "kernels" / f"test_{name}.py") for name in FILES]
    here = {**os.environ, "PYTHONPATH": str(tmp_path), "SEQLIGHT_NATIVE": "plain"}
    monkeypatch.chdir(TESTS.parent)
    done = python("-c", RUN, "-q", "-p", "no:cacheprovider", *files, env=here, timeout=280)
    assert int(done.stdout.splitlines()[0]) == lanes
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > (150 if lanes else 50)
    assert not lanes or "skipped" not in done.stdout


def test_an_unknown_build_is_refused():
    command = [sys.executable, "-c", "from seqlight.native.library import library; library()"]
    done = subprocess.run(command, env={**os.environ, "SEQLIGHT_NATIVE": "sse"}, capture_output=True, text=True)
    assert "SEQLIGHT_NATIVE is 'sse'; set it to 0, avx512, avx2, plain or, for the widest, 1." in done.stderr


@pytest.mark.skipif(library() is None, reason="the loops are not compiled")
@pytest.mark.parametrize("table", ["_SIGNATURES", "_LAYOUTS"])
def test_loops_that_lack_one_are_refused(table, monkeypatch):
    monkeypatch.setitem(getattr(loops, table), "newest", (None,))
    with pytest.raises(ImportError, match="older than its sources: install it again"):
        loops._loaded("_loops")


@pytest.mark.skipif(library() is None, reason="the loops are not compiled")
def test_the_widest_build_that_this_machine_can_run_is_loaded():
    assert library().lanes() == library().lanes_here()
