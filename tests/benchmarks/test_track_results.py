"""What was measured of tracks keeps what is promised of them."""

import harness


def test_a_genome_of_the_size_of_the_human_one_takes_less_than_a_gigabyte():
    found = harness.read_results("track_memory")["runs"]
    whole, chromosome = found["all"], found["a chromosome"]
    assert whole["chromosomes"] == 25
    assert whole["positions"] > 3e9
    assert whole["windows"] > 3e6
    assert whole["peak"] < 1e9
    assert whole["peak"] < 1.15 * chromosome["peak"]


def test_a_track_is_as_quick_as_a_run():
    found = harness.read_results("track_speed")["models"]
    assert all(one["throughput_of_track_over_run"]["of the processor"] >= 0.95 for one in found.values())
    assert len(found) == 2
