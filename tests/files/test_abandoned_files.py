import os

from seqlight.files.abandoned_files import is_alive, remove_abandoned

GONE = 2**22 + 1  # more than any process has


def test_only_temporary_files_of_that_name_are_removed(tmp_path):
    left = [f"a.npz.{GONE}.partial", f"a.npz.{os.getpid()}.partial"]
    kept = [
        "a.npz", f"a.npz.{os.getppid()}.partial", f"aXnpz.{GONE}.partial", f"a.npz.{GONE}.partial.txt",
        f"my a.npz.{GONE}.partial", "a.npz.x1.partial",
    ]  # fmt: skip
    for name in [*left, *kept]:
        (tmp_path / name).touch()
    (tmp_path / f"a.npz.{GONE + 1}.partial").symlink_to(tmp_path / "a.npz")
    (tmp_path / f"a.npz.{GONE + 2}.partial").mkdir()
    remove_abandoned(tmp_path / "a.npz")
    there = {one.name for one in tmp_path.iterdir()}
    assert there == {*kept, f"a.npz.{GONE + 1}.partial", f"a.npz.{GONE + 2}.partial"}
    remove_abandoned(tmp_path / "a.npz", folder=True)
    assert {one.name for one in tmp_path.iterdir()} == {*kept, f"a.npz.{GONE + 1}.partial"}
    remove_abandoned(tmp_path / "no" / "a.npz")


def test_processes():
    assert is_alive(os.getppid())
    assert not is_alive(os.getpid())
    assert not is_alive(GONE)
    assert not is_alive(10**30)
