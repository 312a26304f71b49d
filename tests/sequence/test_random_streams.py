"""Streams from seeds; the global one is never used."""

import numpy as np
import pytest

from seqlight.errors import InputError
from seqlight.sequence import random_streams


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, np.int64(5), np.uint32(7)])
def test_a_seed_gives_the_stream_of_numpy(seed):
    assert random_streams.random_state(seed).tomaxint() == np.random.RandomState(seed).tomaxint()
    assert type(random_streams.seed(seed)) is int


def test_a_stream_continues():
    stream = np.random.RandomState(0)
    first = random_streams.random_state(stream).random_sample()
    assert random_streams.random_state(stream) is stream
    assert [first, stream.random_sample()] == np.random.RandomState(0).random_sample(2).tolist()


def test_none_is_a_fresh_stream_and_leaves_the_global_one():
    before = np.random.get_state()[1].tolist()
    assert len({random_streams.seed(None) for _ in range(20)}) > 15
    assert random_streams.random_state(None) is not random_streams.random_state(None)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (-1, r"random_state is -1: expected 0 to 4294967295\."),
        (2**32, r"random_state is 4294967296: expected 0 to 4294967295\."),
        (0.0, r"random_state is 0\.0: expected a whole number or None\."),
        (True, r"random_state is True: expected a whole number"),
        ("0", r"random_state is '0': expected a whole number"),
    ],
)
def test_invalid_sources(source, message):
    with pytest.raises(InputError, match=message):
        random_streams.random_state(source)
