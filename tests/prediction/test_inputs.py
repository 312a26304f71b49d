"""The dtype of each input of a model: one rule for X and args, in every function that runs a model."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import seqlight as sl
from attribution_methods import METHODS
from seqlight.prediction.inputs import InputConversion, cast, holds_one_hot, to_device

CPU = torch.device("cpu")


class TokenSum(nn.Module):
    """Sums the embeddings of token ids."""

    def __init__(self, tokens=400):
        super().__init__()
        self.table = nn.Embedding(tokens, 1)
        self.table.weight.data[:, 0] = torch.arange(tokens) % 100

    def forward(self, ids):
        return self.table(ids).sum(dim=tuple(range(1, ids.ndim)))


class DtypeRecorder(nn.Module):
    """Records the dtypes that it was called with."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(24, 2)

    def forward(self, X, *args):
        self.dtypes = [X.dtype, *(arg.dtype for arg in args)]
        return self.dense(X.flatten(1))


SOURCES = {
    "tensor": lambda X: X,
    "dataset": TensorDataset,
    "loader": lambda X: DataLoader(TensorDataset(X), batch_size=2),
}


@pytest.mark.reliability("numbers and ids", "token ids above 256 into a bfloat16 model", "the ids themselves are read")
@pytest.mark.parametrize("source", list(SOURCES))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_ids_stay_integers(source, dtype):
    # The ids of the first batch are 0 and 1, as in one-hot letters.
    ids = torch.tensor([[0, 1], [1, 0], [257, 0], [399, 1]])
    model = TokenSum().to(dtype)
    found = sl.predict(model, SOURCES[source](ids), batch_size=2, device="cpu")
    assert found.squeeze(1).tolist() == [1, 1, 57, 100]


@pytest.mark.reliability(
    "numbers and ids", "sets of ids, of three dimensions, some of which are 0 and 1", "they stay ids"
)
def test_one_hot_is_decided_for_the_whole_tensor():
    ids = torch.tensor([[[0, 1], [1, 0]]] * 3 + [[[300, 1], [1, 0]]])
    assert sl.predict(TokenSum(), ids, batch_size=2, device="cpu").squeeze(1).tolist() == [2, 2, 2, 2]
    with pytest.raises(sl.InputError, match=r"batch of X holds integers that are not one-hot, and the first one was"):
        sl.predict(nn.Identity(), TensorDataset(ids), batch_size=2, device="cpu")


@pytest.mark.reliability(
    "numbers and ids", "one-hot letters as int8 among the further inputs", "they become numbers, as X does"
)
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool])
def test_one_hot_integers_in_args_are_converted_too(dtype):
    torch.manual_seed(0)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(4, 2, 3)

        def forward(self, X, other):
            return (self.conv(X).relu() + self.conv(other)).sum(2)

    X, other = sl.random_one_hot((3, 4, 30), random_state=0), sl.random_one_hot((3, 4, 30), random_state=1)
    other[1] = 0  # unknown characters
    model = Two().double()
    wanted = {"args": (other.double(),), "device": "cpu"}
    given_ = {"args": (other.to(dtype),), "device": "cpu"}
    assert torch.equal(sl.predict(model, X, **given_), sl.predict(model, X, **wanted))
    for method, settings in METHODS.items():
        found, expected = (call(method, model, X, {**settings, **more}) for more in (given_, wanted))
        assert torch.equal(found, expected), method


def call(method, model, X, settings):
    found = getattr(sl, method)(model, X, **settings)
    return found if isinstance(found, torch.Tensor) else found.attributions


@pytest.mark.reliability("numbers and ids", "numbers beyond what the model's dtype has", "an error that names one")
@pytest.mark.parametrize(
    ("X", "kind", "value"),
    [
        (torch.tensor([[1.0, 0.5], [1e39, 0.5]], dtype=torch.float64), torch.float32, r"1e\+39"),
        (torch.tensor([[1.0, 0.5], [70000.5, 0.5]]), torch.float16, "70000.5"),
        (torch.tensor([[1.0, 0.0], [257.0, 2.0]]), torch.bfloat16, "257"),
        (torch.tensor([[1, 0], [2**24 + 1, 0]], dtype=torch.float64), torch.float32, "16777217"),
    ],
)
def test_numbers_that_a_dtype_cannot_hold_are_refused(X, kind, value):
    model = nn.Linear(2, 1).to(kind)
    for given_ in (X, TensorDataset(X)):
        with pytest.raises(sl.InputError, match=f"X holds {value}, which {str(kind)[6:]} cannot hold"):
            sl.predict(model, given_, device="cpu")
    with pytest.raises(sl.InputError, match=rf"args\[0\] holds {value}, which"):
        sl.predict(DtypeRecorder().to(kind), torch.zeros(2, 4, 6), (X,), device="cpu")


def test_rounding_and_infinities_are_accepted():
    X = torch.tensor([[0.1, float("inf")], [1e-60, float("nan")]], dtype=torch.float64)
    assert torch.equal(cast(X, torch.float32).nan_to_num(), X.float().nan_to_num())
    assert cast(torch.tensor([0.1, 1000.0]), torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.reliability("numbers and ids", "masks of booleans beside the sequences", "they stay masks")
def test_masks_stay_masks():
    masks = [torch.ones(3, 6, dtype=torch.bool), torch.zeros(3, 6, 6, dtype=torch.bool)]
    masks += [torch.tril(torch.ones(6, 6, dtype=torch.bool)).expand(3, 6, 6), torch.zeros(3, 1, 6, dtype=torch.bool)]
    masks += [torch.zeros(3, 1, 6, dtype=torch.int64).index_fill(2, torch.tensor([2]), 1)]
    model = DtypeRecorder()
    sl.predict(model, sl.random_one_hot((3, 4, 6)), masks, device="cpu")
    assert model.dtypes == [torch.float32, *(one.dtype for one in masks)]


@given(
    st.sampled_from([torch.int8, torch.uint8, torch.int64, torch.int32, torch.bool]),
    st.integers(1, 3), st.integers(2, 5), st.integers(1, 6), st.integers(0, 2**32),
)  # fmt: skip
def test_one_hot_in_any_arrangement(dtype, rows, letters, length, seed):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, letters, (rows, length), generator=generator)
    X = nn.functional.one_hot(codes, letters).transpose(1, 2).to(dtype)
    others = [X, X.contiguous(), *([X.mT, X.unsqueeze(1), X.unsqueeze(2)] if length > 1 else [])]
    assert all(holds_one_hot(one) for one in others)
    assert not holds_one_hot(codes)
    assert not holds_one_hot(X[:, 0])
    if dtype != torch.bool:
        more = X.clone()
        more[0, 0, 0] = 2
        assert not holds_one_hot(more)
        assert InputConversion([more]).apply([more], torch.float32, CPU)[0].dtype == dtype
    found = InputConversion([X]).apply([X], torch.float16, CPU)[0]
    assert found.dtype == torch.float16
    assert torch.equal(found.to(dtype), X)


@pytest.mark.cpu
@pytest.mark.reliability("devices", "sequences on a GPU, and the CPU asked for", "what is read has arrived")
@pytest.mark.parametrize("method", ["predict", *METHODS])
def test_transfers_to_the_cpu_block(method, monkeypatch):
    # A transfer from a device that does not block may not have arrived yet.
    real = torch.Tensor.to

    def to(self, *args, **kwargs):
        assert not kwargs.get("non_blocking")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", to)
    X, scale = sl.random_one_hot((3, 4, 30), random_state=0), torch.rand(3, 1, dtype=torch.float64)

    class Scaled(nn.Sequential):
        def forward(self, X, scale):
            return super().forward(X) * scale

    settings = {"args": (scale,), "device": "cpu", **METHODS.get(method, {})}
    getattr(sl, method)(Scaled(nn.Flatten(), nn.Linear(120, 2)), X, **settings)


def test_transfers_to_a_device_do_not_block(monkeypatch):
    asked = {}
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device, **more: asked.update(more))
    to_device(torch.zeros(2), torch.device("cuda"))
    assert asked == {"non_blocking": True}
