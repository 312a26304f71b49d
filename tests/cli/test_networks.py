"""A model without weights is the same in each process, and making it starts no device."""

import torch

from seqlight.cli.networks import open_network


def test_drawn_weights_are_the_same_each_time_and_no_generator_is_moved():
    before = torch.get_rng_state()
    first, second = (open_network("torch.nn.Linear", init_args={"in_features": 4, "out_features": 2}) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_devices_of_a_machine_with_several_are_left_alone(pretend):
    """PyTorch warns, which is an error here, where all generators are stored."""
    with pretend.switched(available=True):
        open_network("torch.nn.Linear", init_args={"in_features": 4, "out_features": 2})
