"""A model without weights is the same in each process, and making it starts no device."""

import pytest
import torch

import seqlight as sl
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


LINEAR = {"in_channels": 4, "out_channels": 2, "kernel_size": 9}


@pytest.mark.reliability(
    "command line",
    "--strands both with an alphabet in another order than A, C, G and T",
    "the other strand has the partner of each letter, as of the same sequences in the usual order",
)
@pytest.mark.parametrize("alphabet", ["ACTG", "TGCA", "RNA", "GUAC"])
def test_partners_of_letters_in_another_order(alphabet):
    network = open_network("torch.nn.Conv1d", init_args=LINEAR, strands="both", positions="none", alphabet=alphabet)
    text = "GATTACAGC"
    letters = {"RNA": "ACGU"}.get(alphabet, alphabet).replace("U", "T")
    strands = (text, "GCTGTAATC")
    forward, reverse = (sl.one_hot_encode(one, alphabet=letters).float().reshape(1, 4, 9) for one in strands)
    conv = network.models[0]
    torch.testing.assert_close(network(forward), (conv(forward) + conv(reverse)) / 2)


def test_letters_without_partners_have_one_strand():
    with pytest.raises(sl.InputError, match="alphabet is 'ABCD', whose letters have no partners on another strand"):
        open_network("torch.nn.Conv1d", init_args=LINEAR, strands="both", alphabet="ABCD")
    with pytest.raises(sl.InputError, match="strand_channels is 1, and strands is forward: add `--strands both`"):
        open_network("torch.nn.Conv1d", init_args=LINEAR, strand_channels=1)
