"""Tracks in several processes, and after one of them was killed, as in test_processes.py."""

import os

import pytest

import seqlight as sl
from toy_genome import draw, write_genome

from .test_processes import FORKED, command_of, end_badly, run, run_here, torchrun
from .test_processes import all_end_well as all_end_well

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.fixture
def fasta(tmp_path):
    return str(
        write_genome(tmp_path / "toy.fa", {"chr1": draw(400, 1, "ACGT"), "chr2": "N" * 50 + draw(90, 2, "ACGT")})
    )


def track_in(out, name="attributions"):
    sl.open_results(out).verify()
    return (out / f"{name}.bw").read_bytes()


def test_the_bytes_of_a_track_do_not_depend_on_the_number_of_processes(tmp_path, fasta):
    job = {"genome": fasta, "kind": "attribute", "tile": 10, "batch_size": 4}
    several = {"out": f"{tmp_path}/2", "devices": 2, **FORKED}
    run(job | several, job | {"out": f"{tmp_path}/3", "devices": 3, **FORKED}, job | {"out": f"{tmp_path}/1"})
    one = track_in(tmp_path / "1")
    assert len(one) > 1000
    assert track_in(tmp_path / "2") == track_in(tmp_path / "3") == one


def test_processes_that_all_run_the_script(tmp_path, fasta):
    job = {"genome": fasta, "kind": "attribute", "tile": 10, "batch_size": 4}
    all_end_well(torchrun(job | {"out": f"{tmp_path}/2", "devices": 2}))
    run_here(job | {"out": f"{tmp_path}/1"})
    assert track_in(tmp_path / "2") == track_in(tmp_path / "1")


@pytest.mark.reliability(
    "tracks", "one of two processes is killed (kill -9)", "the same call goes on, and writes the same bytes"
)
def test_a_track_goes_on_after_a_process_was_killed(tmp_path, fasta):
    job = {"genome": fasta, "kind": "slow score", "tile": 4, "batch_size": 2, "shard_rows": 4}
    out = tmp_path / "out"
    slow = {"seconds": 0.02, "trouble": "kill", "rank": 0, "batch": 8}
    _, said = end_badly(command_of("torchrun", job | {"out": str(out), "slow": slow}), out)
    assert sl.open_results(out, incomplete=True).missing(), said[-2000:]
    assert not list(out.glob("*.bw"))
    run_here(job | {"out": str(out)})
    run_here(job | {"out": f"{tmp_path}/whole"})
    assert track_in(out, "predictions") == track_in(tmp_path / "whole", "predictions")
