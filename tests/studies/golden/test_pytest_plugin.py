"""The fixture `attribution_golden` as a user meets it: in a test suite of its own, run by pytest."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from seqlight.studies.golden import golden  # here, so that it is not loaded anew in each of the runs

pytest_plugins = "pytester"

ROOT = Path(__file__).parents[3]
UPDATE = "--attribution-golden-update"
SUITE = """
import pytest, torch
import seqlight as sl

X = sl.random_one_hot((3, 4, 20), random_state=0)

def make_model(scale=1.0):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 3, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(48, 2))
    model[0].weight.data *= scale
    return model
"""
ONE = SUITE + "def test_it(attribution_golden):\n    attribution_golden(make_model(), X, n_shuffles=2)\n"


@pytest.fixture
def run(pytester, monkeypatch):
    """Write a suite and run it in this process, without the plugins of this environment."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "")

    def run(text, *arguments, plugins=("seqlight.studies.golden.pytest_plugin",)):
        pytester.makepyfile(test_mine=text)
        chosen = [one for name in plugins for one in ("-p", name)]
        return pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider", *chosen, *arguments)

    return run


def records(pytester):
    return sorted(str(path.relative_to(pytester.path)) for path in pytester.path.rglob("*.npz"))


def sentence(result):
    """Return the one line of the error."""
    (line,) = [one for one in result.outlines if one.startswith("E  ")]
    return line.removeprefix("E").strip().removeprefix("AssertionError: ")


def test_a_record_is_written_and_later_runs_compare(run, pytester):
    missing = run(ONE)
    missing.assert_outcomes(failed=1)
    assert sentence(missing) == (
        "there is no golden record attribution_golden/test_mine/test_it.npz: run `pytest --attribution-golden-update` "
        "on this test, and commit the file if it is right."
    )
    assert records(pytester) == []
    updated = run(ONE, UPDATE)
    updated.assert_outcomes(passed=1)
    updated.stdout.fnmatch_lines(["*1 golden record written*", "*test_it.npz"])
    assert records(pytester) == [f"{golden.FOLDER}/test_mine/test_it.npz"]
    run(ONE).assert_outcomes(passed=1)


@pytest.mark.reliability(
    "Golden attributions", "other weights, sequences, references, seed, target, dtype", "one sentence that names them"
)
@pytest.mark.parametrize(
    ("was", "now", "named"),
    [
        ("make_model()", "make_model(1.5)", "with other weights:"),
        ("make_model(), X", "make_model(), X.flip(-1)", "with other sequences, other references:"),
        ("n_shuffles=2", "n_shuffles=3", "with other references:"),
        ("n_shuffles=2", "n_shuffles=2, random_state=5", "with other references, seed 0 -> 5:"),
        ("n_shuffles=2", "n_shuffles=2, target=1", "with target 0 -> 1:"),
        ("X, n_shuffles=2", "X, n_shuffles=2, dtype=torch.float32, rtol=0", "with dtype float64 -> float32:"),
        (
            "make_model()",
            "torch.nn.Sequential(*make_model(1.5), torch.nn.Tanh())",
            "with other layers, other weights:",
        ),
    ],
    ids=["weights", "sequences", "number of references", "seed", "target", "dtype", "layers"],
)
def test_a_failure_says_what_changed(run, was, now, named):
    run(ONE, UPDATE)
    moved = run(ONE.replace(was, now))
    moved.assert_outcomes(failed=1)
    said = sentence(moved)
    assert named in said
    assert said.count(". ") == 0
    assert said.endswith("on this test to replace attribution_golden/test_mine/test_it.npz.")
    assert re.match(
        r"(attributions|outputs) moved by \S+( %)? of the largest, where \S+( %)? is allowed, most in row \d, position",
        said,
    )


def test_a_failure_shows_the_line_of_the_test_and_none_of_ours(run):
    run(ONE, UPDATE)
    shown = run(ONE.replace("make_model()", "make_model(1.5)")).stdout.str()
    assert (
        ">       attribution_golden(make_model(1.5), X, n_shuffles=2)" in shown
        or "attribution_golden(make_model(1.5)" in shown
    )
    assert "golden.py" not in shown


def test_the_row_and_the_position_are_those_that_moved(run):
    text = """
import numpy as np
def test_it(attribution_golden):
    attributions = np.ones((3, 4, 12), np.float32)
    attributions[CHANGE] = 1.5
    attribution_golden(attributions)
"""
    run(text.replace("CHANGE", "0, 0, 0"), UPDATE)
    said = sentence(run(text.replace("CHANGE", "2, 1, 7")))
    assert said.startswith("attributions moved by 33 % of the largest, where 0.1 % is allowed, most in row ")
    assert "pass the model instead of attributions" in said


def test_records_of_explanations_name_seed_and_references(run):
    text = SUITE + (
        "def test_it(attribution_golden):\n"
        "    attribution_golden(sl.attribute(make_model(), X, n_shuffles=2, random_state=0, device='cpu'))\n"
    )
    run(text, UPDATE).assert_outcomes(passed=1)
    run(text).assert_outcomes(passed=1)
    assert "with other references, seed 0 -> 4:" in sentence(
        run(text.replace("random_state=0, d", "random_state=4, d"))
    )


def test_each_test_parameter_and_call_has_a_file(run, pytester):
    text = (
        SUITE
        + """
class TestMine:
    @pytest.mark.parametrize("name", ["a/b", "a_b", "plain"])
    def test_it(self, name, attribution_golden):
        attribution_golden(torch.ones(2, 5))
        attribution_golden(torch.zeros(2, 5))
def test_it(attribution_golden):
    attribution_golden(torch.ones(1, 5))
"""
    )
    run(text, UPDATE).assert_outcomes(passed=4)
    names = [Path(one).name for one in records(pytester)]
    assert len(names) == 7
    assert {"test_it.npz", "TestMine.test_it[plain].npz", "TestMine.test_it[plain]-2.npz"} <= set(names)
    run(text).assert_outcomes(passed=4)


def test_equal_records_are_not_written_again(run, pytester):
    run(ONE, UPDATE)
    (file,) = pytester.path.rglob("*.npz")
    before = file.stat().st_mtime_ns, file.read_bytes()
    again = run(ONE, UPDATE)
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before
    assert "golden record" not in again.stdout.str()


@pytest.mark.reliability("Golden attributions", "a checkout that cannot be written to", "compared; nothing is written")
def test_comparing_writes_nothing(run, pytester):
    run(ONE, UPDATE)

    before = {one: one.stat().st_mtime_ns for one in pytester.path.rglob("*")}
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "seqlight.studies.golden.pytest_plugin")
    result.assert_outcomes(passed=1)
    assert {one: one.stat().st_mtime_ns for one in pytester.path.rglob("*")} == before


@pytest.mark.reliability(
    "Golden attributions", "a damaged file, one of another test or of a later seqlight", "an error"
)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "*no array that can be mapped*"),
        (b"PK\x03\x04 cut off", "*no array that can be mapped*"),
        ({"format": 1, "test": "test_IT", "facts": {}}, "*is of the test test_IT, not of test_it*"),
        ({"format": 2, "test": "test_it", "facts": {}}, "*format 2 of golden records*"),
        ([], "*is no golden record*"),
    ],
    ids=["empty", "cut off", "another test", "another format", "another content"],
)
def test_other_files_are_errors(run, pytester, content, said):
    run(ONE, UPDATE)
    (file,) = pytester.path.rglob("*.npz")
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        about = np.array(json.dumps(content))
        np.savez(file, attributions=np.zeros((3, 4, 20), np.float32), outputs=np.zeros(3), about=about)
    failed = run(ONE)
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines([f"E{said}"])
    run(ONE, UPDATE).assert_outcomes(passed=1)
    run(ONE).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("make_model()", "*model without sequences*"),
        ("torch.ones(2, 5), X", "*pass the attributions alone*"),
        ("torch.ones(5)", "*shape (5,)*"),
        ("[1.0]", "*got a list: expected a model*"),
        ("make_model(), X, rtol=-1", "*rtol is -1*"),
    ],
)
def test_arguments_that_cannot_be_used(run, call, said):
    failed = run(SUITE + f"def test_it(attribution_golden):\n    attribution_golden({call})\n")
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines([f"E*InputError: {said}"])


def test_a_process_of_xdist_writes_what_others_compare(run, pytester):
    text = (
        SUITE
        + """
@pytest.mark.parametrize("n", range(2))
def test_it(n, attribution_golden):
    attribution_golden(torch.full((2, 5), float(n + 1)))
"""
    )
    plugins = ("xdist", "seqlight.studies.golden.pytest_plugin")
    updated = run(text, UPDATE, "-n", "1", plugins=plugins)
    updated.assert_outcomes(passed=2)
    updated.stdout.fnmatch_lines(["*2 golden records written*"])
    run(text).assert_outcomes(passed=2)


@pytest.mark.reliability(
    "Golden attributions", "the same record on a machine whose arithmetic rounds otherwise", "it passes"
)
def test_another_machine_passes(run):
    """Weights drawn with a seed differ in their last bit between processors, and all that follows with them."""
    run(ONE, UPDATE)
    other = ONE.replace("make_model()", "make_model(1 + 2**-23)")
    run(other).assert_outcomes(passed=1)
    assert "with other weights" in sentence(run(other.replace("n_shuffles=2", "n_shuffles=2, rtol=0")))


@pytest.fixture
def installed(tmp_path):
    """Return a folder with metadata that name the plugin, as an installed wheel has them."""
    folder = tmp_path / "site" / "seqlight_plugin-1.dist-info"
    folder.mkdir(parents=True)
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    lines = "\n".join(f"{name} = {value}" for name, value in points.items())
    (folder / "entry_points.txt").write_text(f"[pytest11]\n{lines}\n")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: seqlight-plugin\nVersion: 1\n")
    (folder / "RECORD").write_text("seqlight/__init__.py,,\nseqlight_callbacks/__init__.py,,\n")
    return folder.parent


def test_a_suite_that_does_not_use_it_pays_nothing(installed, tmp_path, python):
    """Loading the plugin loads no library, changes no assertion of seqlight, and warns of nothing."""
    (tmp_path / "test_mine.py").write_text(
        "import sys\n"
        "def test_it(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.has_plugin('seqlight')\n"
        "    loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "    assert not loaded & {'torch', 'numpy', 'pandas', 'lightning', 'matplotlib'}\n"
        "    import seqlight.files.digests\n"
        "    assert 'pytest' not in type(seqlight.files.digests.__loader__).__module__\n"
    )
    code = (
        "import seqlight, seqlight_callbacks, pytest; raise SystemExit(pytest.main(['-W', 'error', '-p', 'no:zarr']))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout
