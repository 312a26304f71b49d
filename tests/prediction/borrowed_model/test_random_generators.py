"""The global random generators: draws are detected, and states restored."""

import random

import numpy as np
import pytest
import torch

from seqlight.prediction.borrowed_model.random_generators import DrawDetector, preserve_generators

CPU = torch.device("cpu")
DRAWN = {
    "torch": lambda: torch.rand(1),
    "numpy": np.random.rand,
    "a normal number of numpy": np.random.randn,
    "python": random.random,
    "a normal number of python": lambda: random.gauss(0, 1),
    "as many as python makes at once": lambda: [random.getrandbits(32) for _ in range(624)],
}


@pytest.fixture(autouse=True, params=["fresh", "with a normal number in store"])
def seeded(request):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    if request.param != "fresh":
        np.random.randn(), random.gauss(0, 1)


def numpy_state():
    state = np.random.get_state()
    return state[1].tolist(), state[2:]


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("kind", list(DRAWN))
def test_a_drawn_number_is_detected(kind, within):
    with preserve_generators(CPU):
        if within:  # a DataLoader has drawn before, which is another matter
            np.random.rand(), torch.rand(1), random.random()
        draws = DrawDetector(CPU)
        assert not draws.has_drawn()
        DRAWN[kind]()
        assert draws.has_drawn()


@pytest.mark.parametrize("kind", list(DRAWN))
def test_all_generators_are_restored(kind):
    before = random.getstate(), numpy_state(), torch.get_rng_state().tolist()
    with preserve_generators(CPU):
        DRAWN[kind]()
    assert (random.getstate(), numpy_state(), torch.get_rng_state().tolist()) == before


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.Philox])
def test_another_bit_generator_of_numpy_is_restored_without_a_warning(kind):
    own = np.random.get_bit_generator()
    np.random.set_bit_generator(kind(0))
    try:
        with preserve_generators(CPU):
            draws = DrawDetector(CPU)
            assert not draws.has_drawn()
            first = np.random.rand()
            assert draws.has_drawn()
        assert np.random.rand() == first
    finally:
        np.random.set_bit_generator(own)
