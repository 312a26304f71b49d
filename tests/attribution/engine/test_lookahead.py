"""Sequences recorded ahead of being explained get the same attributions as on their own."""

import functools

import pytest
import torch
from torch import nn

from seqlight import attribute, deep_lift_shap, random_one_hot
from seqlight.attribution.calls.record import Record, Snapshot
from seqlight.attribution.engine import lookahead
from seqlight.attribution.engine.lookahead import Lookahead, Shapes, _copy_to_one_buffer, cut_record
from seqlight.attribution.engine.policy import CallPolicy
from seqlight.errors import ConvergenceWarning, ReferencesWarning, UnsupportedOperation
from seqlight.prediction.batch_size import BatchSize
from user_operations import by_numpy

LENGTH = 24
X = random_one_hot((11, 4, LENGTH), random_state=0)


class Reading(nn.Module):
    """Reads rows in a way of its own and sums up."""

    def __init__(self, read, *parts):
        super().__init__()
        torch.manual_seed(0)
        self.parts, self.read, self.sizes = nn.ModuleList(part() for part in parts), read, []

    def forward(self, x, *more):
        self.sizes.append(len(x))
        return self.read(self.parts, x, *more).flatten(1).sum(1, keepdim=True)


def pooled(parts, x):
    return nn.functional.max_pool1d(parts[0](x).relu(), 3).exp()


def batch_second(parts, x):
    return parts[0](x.permute(2, 0, 1)).tanh().transpose(0, 1)


def attending(parts, x):
    y = parts[0](x.mT)
    return nn.functional.scaled_dot_product_attention(y, y * 2, y) + parts[1](y).square()


def heads_in_the_batch(parts, x):
    y = x.unflatten(2, (3, 8)).transpose(1, 2).flatten(0, 1)  # rows are the major index
    return torch.softmax(y, 2).unflatten(0, (len(x), 3)).square()


def rows_last(parts, x):
    y = x.unflatten(2, (3, 8)).permute(2, 0, 1, 3).flatten(0, 1)  # rows are the minor index
    return torch.softmax(y, 2).square().unflatten(0, (3, len(x))).transpose(0, 1)


def in_place(parts, x):
    y = parts[0](x)
    z = y.sigmoid()
    y += 1
    return z * y


MODELS = {
    "pooled": Reading(pooled, lambda: nn.Conv1d(4, 5, 3)),
    "batch second": Reading(batch_second, lambda: nn.LayerNorm(4)),
    "attention": Reading(attending, lambda: nn.Linear(4, 4), lambda: nn.LayerNorm(4)),
    "heads in the batch": Reading(heads_in_the_batch),
    "rows last": Reading(rows_last),
    "in place": Reading(in_place, lambda: nn.Conv1d(4, 5, 3)),
}


REFERENCES = torch.stack([random_one_hot((6, 4, LENGTH), random_state=i) for i in range(len(X))])


def multipliers(name, batch_size, rows=slice(None)):
    settings = {"n_shuffles": 6, "device": "cpu", "raw_outputs": True, "dtype": "float64"}
    model = MODELS[name].double()
    return deep_lift_shap(model, X[rows], references=REFERENCES[rows], batch_size=batch_size, **settings)


@functools.cache
def multipliers_of_single_blocks(name):
    return torch.cat([multipliers(name, 1, slice(i, i + 1)) for i in range(len(X))])


@pytest.mark.parametrize("batch_size", [1, 6, 12, 36])
@pytest.mark.parametrize("name", MODELS)
def test_attributions_equal_those_of_single_blocks(name, batch_size):
    torch.testing.assert_close(multipliers(name, batch_size), multipliers_of_single_blocks(name), rtol=1e-9, atol=1e-12)


def test_further_inputs_and_targets_go_with_their_sequences():
    model = Reading(lambda parts, x, scale: parts[0](x).relu() * scale[:, :, None], lambda: nn.Conv1d(4, 5, 3)).double()
    scale, settings = torch.rand(len(X), 5), {"n_shuffles": 6, "random_state": 0, "device": "cpu"}
    found = deep_lift_shap(model, X, args=(scale,), batch_size=12, **settings)
    alone = [deep_lift_shap(model, x[None], args=(one[None],), **settings) for x, one in zip(X, scale, strict=True)]
    torch.testing.assert_close(found, torch.cat(alone), rtol=1e-9, atol=1e-12)
    two = nn.Sequential(nn.Conv1d(4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(110, 3)).double()
    each = torch.arange(len(X)) % 3
    found = attribute(two, X, target=each, batch_size=12, **settings).attributions
    alone = [attribute(two, x[None], target=int(k), **settings).attributions for x, k in zip(X, each, strict=True)]
    torch.testing.assert_close(found, torch.cat(alone), rtol=1e-9, atol=1e-12)


@pytest.fixture
def large_records(monkeypatch):
    """Let no record count as one of few bytes."""
    monkeypatch.setattr(lookahead, "FEW_BYTES", 0)


# Once a sequence is met beside its first reference.
RUNS = {
    6: [1, 6, 2, *[1, 6] * 10],  # a sixth of a batch is one sequence
    18: [3, 18, 2, *[3, 18] * 2, 2, 12],
    12: [2, 12, 2, *[2, 12] * 4, 1, 6],
    36: [6, 36, 2, 5, 30],
    72: [11, 66, 2],
}


@pytest.mark.parametrize("batch_size", RUNS)
def test_number_of_calls_of_the_model(batch_size, large_records):
    model = Reading(pooled, lambda: nn.Conv1d(4, 5, 3))
    deep_lift_shap(model, X, n_shuffles=6, batch_size=batch_size, device="cpu", random_state=0)
    assert model.sizes == RUNS[batch_size]


@pytest.mark.parametrize("n", [2, 4])
def test_several_blocks_are_observed_at_once(n, large_records):
    model = Reading(pooled, lambda: nn.Conv1d(4, 5, 3))
    deep_lift_shap(model, X, n_shuffles=24, batch_size=12 * n, device="cpu", random_state=0)
    assert model.sizes == {2: [1, 24, 2, *[4, *[24] * 4] * 2, 2, 24, 24], 4: [2, 48, 2, 8, *[48] * 4, 1, 24]}[n]


@pytest.mark.parametrize(
    ("batch_size", "runs"),
    [(6, [1, 6, 2, 6, *[6] * 6, 4, *[6] * 4]), (18, [3, 18, 2, 6, 18, 18, 2, 12]), (24, [1, 24, 2, 10, *[24] * 10])],
)
def test_small_records_are_made_of_a_whole_batch(batch_size, runs):
    model, n = Reading(pooled, lambda: nn.Conv1d(4, 5, 3)), 24 if batch_size == 24 else 6
    deep_lift_shap(model, X, n_shuffles=n, batch_size=batch_size, device="cpu", random_state=0)
    assert model.sizes == runs


@pytest.mark.parametrize("bytes_at_once", [0, 3000, 2**24])
def test_attributions_do_not_depend_on_how_many_are_recorded_at_once(bytes_at_once, monkeypatch):
    monkeypatch.setattr(lookahead, "FEW_BYTES", bytes_at_once)
    for name in MODELS:
        torch.testing.assert_close(multipliers(name, 6), multipliers_of_single_blocks(name), rtol=1e-9, atol=1e-12)


def test_a_model_that_accepts_only_some_numbers_of_rows(large_records):
    def picky(parts, x):
        if 2 < len(x) < 6:
            raise ValueError(f"{len(x)} rows")
        return parts[0](x).relu()

    model = Reading(picky, lambda: nn.Conv1d(4, 5, 3)).double()
    settings = {"n_shuffles": 24, "random_state": 0, "device": "cpu"}
    found = deep_lift_shap(model, X, batch_size=24, **settings)
    assert 4 in model.sizes
    torch.testing.assert_close(found, deep_lift_shap(model, X, batch_size=12, **settings), rtol=1e-9, atol=1e-12)


class Strands(nn.Module):
    """Both strands in one batch, as people write it: sequences of the second come after all of the first."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.last = nn.Conv1d(4, 8, 5), nn.Linear(8, 1)

    def forward(self, x):
        h = torch.cat([x, x.flip(1, 2)])
        h = torch.relu(self.convolution(h)).mean(2)
        a, b = self.last(torch.tanh(3 * h)).chunk(2)
        return a + b


def explain_strands(sequences, batch_size):
    settings = {"random_state": 0, "device": "cpu", "n_shuffles": 20}
    return deep_lift_shap(Strands().double(), sequences, batch_size=batch_size, **settings)


@functools.cache
def explain_strands_of_one(i):
    return explain_strands(random_one_hot((12, 4, 40), random_state=3)[i : i + 1], 1)


@pytest.mark.parametrize("flat", [1, 2, 5])
def test_records_of_other_sequences_are_not_used(flat):
    """Of sequences that equal their references anything adds up, so what they are like tells nothing."""
    sequences = random_one_hot((12, 4, 40), random_state=3)
    for i in range(flat):
        sequences[i] = 0
        sequences[i, i % 4] = 1
    with pytest.warns(ReferencesWarning):
        found = explain_strands(sequences, 32)
    alone = [explain_strands_of_one(i) for i in range(flat, len(sequences))]
    torch.testing.assert_close(found[flat:], torch.cat(alone), rtol=1e-6, atol=1e-9)


MIXED = {
    "softmax": lambda y: y.softmax(0),
    "from the row before": lambda y: y + 0.5 * y.roll(1, 0),
    "from the row behind": lambda y: y + 0.5 * y.roll(-1, 0),
    "from all rows before": lambda y: y.cumsum(0),
    "from all rows behind": lambda y: y.flip(0).cumsum(0).flip(0),
    "from the other end": lambda y: y + 0.5 * y.flip(0),
    "mean": lambda y: y - 0.5 * y.mean(0),
}


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("equal", ["others", "the same", "mutants"])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("how", MIXED)
@pytest.mark.filterwarnings("ignore::seqlight.errors.SeqlightWarning")
def test_mixed_rows_are_detected_whatever_the_next_block(how, equal, rows, late):
    def mixing(parts, x):
        y = parts[0](x).relu()
        return MIXED[how](y.flatten(1).mean(1, keepdim=True).tanh() if late else y)

    model = Reading(mixing, lambda: nn.Conv1d(4, 5, 3)).double()
    sequences = X[:rows]
    if equal != "others":
        sequences = X[:1].repeat(rows, 1, 1)
    if equal == "mutants":
        for i in range(rows):
            sequences[i, :, i] = sequences[i, :, i].roll(1)
    with pytest.raises(UnsupportedOperation, match=r"mixes? the rows"):
        deep_lift_shap(model, sequences, n_shuffles=6, batch_size=12, device="cpu", random_state=0)


def test_records_of_other_calls_are_not_used():
    like = Shapes.from_record(Record(torch.zeros(2, 1), [("relu", [])]))
    assert cut_record(Record(torch.zeros(6, 1), [("relu", [])]), like, 3)[2].calls == [("relu", [])]
    assert cut_record(Record(torch.zeros(6, 1), [("tanh", [])]), like, 3) is None
    assert cut_record(Record(torch.zeros(6, 1), []), like, 3) is None


def test_records_lie_in_memory_as_those_of_one_block():
    """A tensor whose rows lie one behind the other is not copied, in whatever order its other dimensions are."""

    def record(rows):
        heads = torch.arange(rows * 12.0).view(rows, 2, 3, 2).transpose(1, 2)
        across = torch.arange(rows * 4.0).view(4, rows).t()
        return Record(torch.zeros(rows, 1), [("matmul", [Snapshot.take(heads, False), Snapshot.take(across, False)])])

    many = record(6)
    memory = many.calls[0][1][0].tensor.untyped_storage().data_ptr()
    for k, one in enumerate(cut_record(many, Shapes.from_record(record(2)), 3)):
        for cut, whole, alone in zip(one.calls[0][1], many.calls[0][1], record(2).calls[0][1], strict=True):
            assert torch.equal(cut.tensor, whole.tensor[2 * k : 2 * k + 2])
            assert cut.tensor.is_contiguous() or cut.tensor.stride() == alone.tensor.stride()
        assert one.calls[0][1][0].tensor.untyped_storage().data_ptr() == memory


def test_copies_of_any_dtype_share_one_buffer():
    whole = torch.arange(24, dtype=torch.float64).view(2, 3, 4)
    pieces = [whole[:, 1], whole.long()[1], whole > 3, torch.tensor(5.0), whole[:0].bfloat16(), whole.mT]
    found = _copy_to_one_buffer(pieces)
    assert all(torch.equal(one, piece) and one.dtype == piece.dtype for one, piece in zip(found, pieces, strict=True))
    assert len({one.untyped_storage().data_ptr() for one in found}) == 1
    assert all(one.is_contiguous() and one.data_ptr() % 8 == 0 for one in found if one.numel())


def recorded(ahead, first, asked):
    """Return the record of sequence `first`, made as the explainer makes it."""
    record = ahead.pop(first, first + 1)
    if record is None:
        asked.append(list(range(first, ahead.end(first, first + 1))))
        ahead.add(first, Record(torch.tensor(asked[-1])[:, None]), 1)
        record = ahead.pop(first, first + 1)
    return record


def test_no_sequence_is_recorded_twice(large_records):
    asked, ahead = [], Lookahead(CallPolicy({}), 8, BatchSize(18, torch.device("cpu")))
    assert [recorded(ahead, i, asked).output.tolist() for i in range(8)] == [[[i]] for i in range(8)]
    assert recorded(ahead, 7, asked).output.tolist() == [[7]]
    assert asked == [[0], [1, 2, 3], [4, 5, 6], [7], [7]]


def test_records_of_another_policy_are_dropped(large_records):
    asked, policy = [], CallPolicy({})
    ahead = Lookahead(policy, 8, BatchSize(18, torch.device("cpu")))
    recorded(ahead, 0, asked), recorded(ahead, 1, asked)
    policy.inspect = True
    recorded(ahead, 2, asked), recorded(ahead, 3, asked)
    assert asked == [[0], [1, 2, 3], [2], [3, 4, 5]]


def test_the_convergence_warning_counts_all_sequences():
    model = Reading(lambda parts, x: parts[0](x).relu() + by_numpy(parts[0](x)), lambda: nn.Conv1d(4, 5, 3))
    with pytest.warns(ConvergenceWarning, match="of 11"):
        deep_lift_shap(model, X, n_shuffles=6, batch_size=12, device="cpu", random_state=0)


def test_a_single_pair_is_explained_again_without_records_made_ahead(large_records):
    class Refusing(nn.Module):
        """Refuses a row right after two of them."""

        def __init__(self):
            super().__init__()
            self.layer, self.sizes = nn.Linear(4 * LENGTH, 1), []

        def forward(self, x):
            self.sizes.append(len(x))
            if len(self.sizes) > 3 and self.sizes[-2:] == [2, 1]:
                raise UnsupportedOperation("a row after two")
            return self.layer(torch.tanh(x.flatten(1)))

    model = Refusing()
    # Of 11 references at most 10 come at once, so that the last one makes a pair alone.
    settings = {"n_shuffles": "auto", "max_shuffles": 11, "tolerance": 1e-9, "batch_size": 12}
    with pytest.warns(ReferencesWarning, match="not known to a tolerance"):
        found = attribute(model, X[:4], device="cpu", random_state=0, **settings)
    assert found.deltas.abs().max() < 1e-5
    assert [2, 1] in [model.sizes[i : i + 2] for i in range(3, len(model.sizes))]
