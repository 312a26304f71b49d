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
    *("attention", "attention_derivatives", "contributions", "convolution", "elementwise", "gru", "layer_norm"),
    *("linear", "lstm", "pooling", "smooth_activations", "softmax", "unbind"),
]
COMPILER = shlex.split(os.environ.get("CC", "cc"))
EMULATED = ["-mavx2", "-mfma", "-D__AVX512F__", f"-I{Path(__file__).parent / 'emulated'}"]
BUILDS = {"plain": 0, "avx2": 8, "avx512": 16}

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


@pytest.fixture
def with_emulated_registers(tmp_path):
    """A copy of the package whose only build is that for AVX-512, on a machine that need not have it."""
    package = shutil.copytree(
        Path(seqlight.__file__).parent, tmp_path / "seqlight", ignore=shutil.ignore_patterns("_loops*", "__pycache__")
    )
    same_bits = ["-ffp-contract=off", "-fno-trapping-math"]
    sources = map(str, (package / "native").glob("*.c"))
    made = ["-O2", "-std=c11", "-w", "-shared", "-fPIC", "-o", str(package / "native" / "_loops.so"), *sources, "-lm"]
    subprocess.run([*COMPILER, *same_bits, *EMULATED, *made], check=True)
    return {"PYTHONPATH": str(tmp_path), "SEQLIGHT_NATIVE": "plain"}


@pytest.mark.parametrize("build", [pytest.param("plain", marks=pytest.mark.slow), "avx2", "avx512"])
def test_rules_hold_on_every_build(build, request, monkeypatch, python):
    lanes = BUILDS[build]
    if library() is not None and library().lanes() == lanes:
        pytest.skip("it is what all other tests use here")
    if library() is None or not library().lanes_here():
        pytest.skip("this machine cannot run it")
    built = library().lanes_here() >= lanes
    chosen = {"SEQLIGHT_NATIVE": build} if built else request.getfixturevalue("with_emulated_registers")
    files = [str(TESTS / "attribution" / "kernels" / f"test_{name}.py") for name in FILES]
    files.append(str(TESTS / "prediction" / "changed_windows" / "test_three_taps.py"))
    monkeypatch.chdir(TESTS.parent)
    done = python("-c", RUN, "-q", "-p", "no:cacheprovider", *files, env={**os.environ, **chosen}, timeout=280)
    assert int(done.stdout.splitlines()[0]) == lanes
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > (150 if lanes else 50)
    assert not lanes or "skipped" not in done.stdout


def test_every_instruction_that_loops_use_is_emulated():
    # Where the machine has them all, the emulated build is not tested.
    used = "".join(path.read_text() for path in Path(loops.__file__).parent.glob("*.[ch]"))
    emulated = (Path(__file__).parent / "emulated" / "immintrin.h").read_text()
    names = set(re.findall(r"_mm512_\w+", used))
    assert len(names) > 30
    assert names - set(re.findall(r"#define (_mm512_\w+)", emulated)) == set()


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
