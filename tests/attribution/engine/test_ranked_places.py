"""What is looked up by the places of the largest numbers is a sum of products with rows of zeros and a one."""

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.calls.call import Call
from seqlight.attribution.engine.ranked_places import RankedPlaces
from seqlight.attribution.engine.twins import Twin

X = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)).double()
OTHER = X.flip(1).tanh()
TABLE = torch.randn(5, 2, generator=torch.Generator().manual_seed(1)).double()


def look_up(rank, function, *args, **kwargs):
    """Return what a function makes of an index, and of the tensor that is ranked in its place."""
    places, x = RankedPlaces(), X.clone().requires_grad_() * 1
    made = Call.from_arguments(rank[0].__name__, rank[0], (x, *rank[1:]), {})
    y = made()
    index = y[1] if isinstance(y, tuple) else y
    places.record_call(made, y, Twin.of(x, id(x)))
    args = [index if one is X else one for one in args]
    call = Call.from_arguments(function.__name__, function, args, kwargs)
    at, source, instead = places.looked_up(call)
    assert source.resolve(None) is x
    numbers = [x if i == at else one.clone() if isinstance(one, torch.Tensor) else one for i, one in enumerate(args)]
    return function(*args, **kwargs), instead(*numbers, **kwargs)


TOP, TOP_LAST, LOWEST = (torch.topk, 2, 1), (torch.topk, 3), (torch.topk, 2, 1, False)
LARGEST, KEPT, SMALLEST = (torch.argmax, 1), (torch.argmax, 1, True), (torch.argmin, 1)


@pytest.mark.parametrize("rank", [TOP, LOWEST, KEPT, (torch.topk, 5, -2)])
def test_of_one_dimension(rank):
    for result, twin in (
        look_up(rank, torch.gather, OTHER, 1, X),
        look_up(rank, torch.take_along_dim, OTHER, X, 1),
        look_up(rank, torch.scatter, OTHER, 1, X, 7.0),
        look_up(rank, torch.scatter, torch.zeros_like(X), -2, X, OTHER),
    ):
        torch.testing.assert_close(twin, result)


@pytest.mark.parametrize("rank", [LARGEST, SMALLEST, TOP, TOP_LAST, KEPT])
def test_one_hot(rank):
    for settings in ({}, {"num_classes": 4 if rank is TOP_LAST else 5}):
        result, twin = look_up(rank, F.one_hot, X, **settings)
        torch.testing.assert_close(twin, result.to(twin.dtype))


@pytest.mark.parametrize("rank", [LARGEST, SMALLEST, TOP])
def test_rows_of_a_table(rank):
    for result, twin in (look_up(rank, F.embedding, X, TABLE), look_up(rank, torch.Tensor.__getitem__, TABLE, X)):
        torch.testing.assert_close(twin, result)


def test_a_mask():
    result, twin = look_up(TOP, torch.scatter, torch.zeros_like(X, dtype=torch.bool), 1, X, True)
    torch.testing.assert_close(twin, result.to(twin.dtype))


@pytest.mark.parametrize(
    ("rank", "function", "args"),
    [
        (TOP, torch.gather, (OTHER.repeat(1, 2, 1), 1, X)),  # from a longer tensor
        (LARGEST, torch.Tensor.__getitem__, (TABLE.repeat(2, 1), X)),
        (LARGEST, F.one_hot, (X, 9)),
    ],
)
def test_an_index_into_something_larger_is_none_of_these(rank, function, args):
    with pytest.raises(ValueError):  # noqa: PT011 (it says that there is no twin)
        look_up(rank, function, *args)


def test_the_index_of_a_whole_tensor_tells_nothing():
    places = RankedPlaces()
    call = Call.from_arguments("argmax", torch.argmax, (X,), {})
    places.record_call(call, call(), Twin.of(X, id(X)))
    assert not places


def test_a_dimension_that_is_put_back():
    places, call = RankedPlaces(), Call.from_arguments("argmax", torch.argmax, (X, 1), {})
    index = call()
    places.record_call(call, index, Twin.of(X, id(X)))
    for at, kept in ((1, True), (-2, True), (0, None)):
        back = index.unsqueeze(at)
        places.record_call(Call.from_arguments("unsqueeze", torch.unsqueeze, (index, at), {}), back, None)
        assert getattr(places.find(back), "kept", None) is kept


def test_an_index_that_is_written_to_tells_nothing_any_more():
    places, call = RankedPlaces(), Call.from_arguments("argmax", torch.argmax, (X, 1), {})
    index = call()
    places.record_call(call, index, Twin.of(X, id(X)))
    assert places.find(index) is not None
    index.add_(1)
    assert places.find(index) is None
