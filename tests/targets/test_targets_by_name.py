"""Each target by name reads what its formula says, is explained completely, and comes back from its text."""

import copy
import pickle
from collections import namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from seqlight.errors import InputError
from seqlight.results.fingerprints import describe_argument
from seqlight.targets import Column, Contrast, Counts, LogOdds, NamedTarget, Profile, Specificity, WindowMean, parse

Heads = namedtuple("Heads", "profile counts")


class Network(nn.Module):
    """A profile of two strands, and three counts, from a sequence of 30."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.motifs = nn.Conv1d(4, 8, 5, padding=2)
        self.profile, self.counts = nn.Conv1d(8, 2, 3), nn.Linear(8, 3)

    def forward(self, X):
        found = torch.relu(self.motifs(X))
        return Heads(self.profile(found) * 5, self.counts(found.mean(dim=2)) * 4)


def softmax_sum(z):
    return (z.softmax(-1) * z).sum(-1)


def centred(z):
    return z - z.mean(-1, keepdim=True)


# Each target, and what it reads, written out.
TARGETS = {
    "column": (Column(2, head=1), lambda y: y[1][:, 2]),
    "place": (Column((1, -3), head="profile"), lambda y: y.profile[:, 1, -3]),
    "counts": (Counts(head=1), lambda y: y[1].sum(1)),
    "counts of one task": (Counts(task=-1, head="counts"), lambda y: y[1][:, 2]),
    "counts of a profile": (Counts(task=1, head=0), lambda y: y[0][:, 1].sum(1)),
    "logarithm": (
        Counts(reduction="log_sum", head=(1,), pseudocount=5),
        lambda y: torch.log(5 + y[1].sum(1)),
    ),
    "log of both": (Counts(reduction="logsumexp", head=1), lambda y: torch.logsumexp(y[1], 1)),
    "profile": (Profile(head=0), lambda y: softmax_sum(centred(y[0].flatten(1)))),
    "profile as it is": (Profile(head=0, centre=False), lambda y: softmax_sum(y[0].flatten(1))),
    "profile by strand": (
        Profile(head=0, joint=False, centre=False),
        lambda y: (softmax_sum(y[0][:, 0]) + softmax_sum(y[0][:, 1])) / 2,
    ),
    "profile of a strand": (Profile(task=1, head=0), lambda y: softmax_sum(centred(y[0][:, 1]))),
    "specificity": (Specificity(1, head=1), lambda y: y[1][:, 1] - (y[1][:, 0] + y[1][:, 2]) / 2),
    "margin": (
        Specificity(0, against="max", head=1),
        lambda y: y[1][:, 0] - torch.maximum(y[1][:, 1], y[1][:, 2]),
    ),
    "one other": (Specificity(0, others=(2,), head=1), lambda y: y[1][:, 0] - y[1][:, 2]),
    "specific window": (
        Specificity(0, head=0, window=(3, 9)),
        lambda y: y[0][:, 0, 3:9].mean(1) - y[0][:, 1, 3:9].mean(1),
    ),
    "log-odds": (LogOdds(1, head=1), lambda y: torch.logit(y[1].softmax(1)[:, 1])),
    "log-odds of a logit": (LogOdds(1, given="binary logits", head=1), lambda y: y[1][:, 1]),
    "window": (WindowMean(3, 9, task=0, head=0), lambda y: y[0][:, 0, 3:9].mean(1)),
    "whole": (WindowMean(head=0), lambda y: y[0].mean(dim=(1, 2))),
    "contrast": (
        Contrast(Counts(head=1), Profile(head=0)),
        lambda y: y[1].sum(1) - softmax_sum(centred(y[0].flatten(1))),
    ),
}
CONSTANT = Profile(head=0, weights="constant")


@pytest.fixture(scope="module")
def model():
    return Network().double()


@pytest.fixture(scope="module")
def X():
    return sl.random_one_hot((3, 4, 30), random_state=0)


def explained(model, X, target, **options):
    return sl.attribute(model, X, target=target, n_shuffles=3, random_state=0, **options)


@pytest.mark.parametrize("name", TARGETS)
def test_each_is_explained_like_the_formula_written_out_and_completely(model, X, name):
    target, formula = TARGETS[name]
    found = explained(model, X, target, deltas="raise")
    written = explained(model, X, formula, deltas="raise")
    assert torch.allclose(found.outputs, formula(model(X.double())), rtol=0, atol=1e-12)
    assert found.deltas.abs().max() < 1e-12
    assert torch.allclose(found.reference_outputs, written.reference_outputs, rtol=0, atol=1e-12)
    # An equivalent formula may be composed of other operations; its attributions are others then, but as complete.
    if name != "log-odds":
        assert torch.allclose(found.attributions, written.attributions, rtol=0, atol=1e-12)
    assert found.attributions.abs().max() > 1e-3


def test_weights_held_constant_are_those_of_the_sequence(model, X):
    """It is the logits, linear in the weights of the sequence: the references are read with those weights."""
    found = explained(model, X, CONSTANT, deltas="raise")
    with torch.no_grad():
        weights = model(X.double())[0].flatten(1).softmax(1)
    for i in range(len(X)):
        one = explained(model, X[i : i + 1], lambda y, w=weights[i]: (w * centred(y[0].flatten(1))).sum(1))
        for name in ("attributions", "outputs", "reference_outputs", "hypothetical"):
            assert torch.allclose(getattr(found, name)[i : i + 1], getattr(one, name), rtol=0, atol=1e-12)
    assert found.deltas.abs().max() < 1e-12
    assert (found.reference_outputs - explained(model, X, Profile(head=0)).reference_outputs).abs().max() > 1e-3


def test_weights_whose_gradient_is_stopped_are_explained_all_the_same(model, X):
    def stopped(y):
        z = centred(y[0].flatten(1))
        return (z.softmax(1).detach() * z).sum(1)

    found, whole = (explained(model, X, target, deltas="raise") for target in (stopped, Profile(head=0)))
    assert torch.allclose(found.attributions, whole.attributions, rtol=0, atol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 2, 7, "auto"])
def test_constant_weights_do_not_depend_on_the_batch_size(model, X, batch_size):
    X = torch.cat([X, sl.random_one_hot((6, 4, 30), random_state=1)])
    wanted = explained(model, X, CONSTANT, batch_size=32).attributions
    assert torch.allclose(explained(model, X, CONSTANT, batch_size=batch_size).attributions, wanted, rtol=0, atol=1e-13)


def test_gradients_of_constant_weights_are_those_of_a_stopped_gradient(model, X):
    found = sl.input_x_gradient(model, X, target=CONSTANT)
    x = X.double().requires_grad_()
    z = centred(model(x)[0].flatten(1))
    (gradient,) = torch.autograd.grad((z.softmax(1).detach() * z).sum(), x)
    wanted = (gradient - gradient.mean(1, keepdim=True)) * X
    assert torch.allclose(found.attributions, wanted.double(), rtol=0, atol=1e-12) or torch.allclose(
        found.attributions, gradient * X, rtol=0, atol=1e-12
    )


@pytest.mark.reliability(
    "targets", "weights held constant, explained by a method that evaluates other sequences", "refused, and it says why"
)
@pytest.mark.parametrize("target", [CONSTANT, Contrast(0, CONSTANT), [0, CONSTANT]])
def test_methods_without_pairs_refuse_constants(model, X, target):
    for method in (sl.saturation_mutagenesis, sl.integrated_gradients):
        with pytest.raises(InputError, match=r"holds its weights constant.*weights='explained'"):
            method(model, X, target=target)


def test_mutagenesis_reads_targets_by_name(model, X):
    found = sl.saturation_mutagenesis(model, X, target=Counts(head=1))
    assert torch.equal(found, sl.saturation_mutagenesis(model, X, target=lambda y: y[1].sum(1)))


def test_probabilities_have_log_odds():
    y = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    assert torch.allclose(LogOdds(1, given="probabilities")(y), torch.tensor([np.log(3), 0.0]).float())
    with pytest.raises(InputError, match=r"an output is 1.5: expected probabilities"):
        LogOdds(given="probabilities")(y * 3)


def test_channels_last():
    y = torch.randn(2, 3, 10)
    last = y.movedim(1, 2)
    for target, same in [
        (WindowMean(2, 5, task=1), WindowMean(2, 5, task=1, channels_last=True)),
        (Profile(task=2), Profile(task=2, channels_last=True)),
        (Specificity(0), Specificity(0, channels_last=True)),
        (Counts(task=1), Counts(task=1, channels_last=True)),
    ]:
        assert torch.allclose(target(y), same(last))


def test_heads():
    counts = torch.arange(4.0).view(2, 2)
    for output, head in [
        ((None, counts), 1),
        ([counts, None], -2),
        ({"counts": counts, "profile": None}, "counts"),
        ({"human": (None, {"counts": counts})}, ("human", 1, "counts")),
        (Heads(None, counts), "counts"),
        ({0: counts}, 0),
        (counts, None),
    ]:
        assert Column(1, head=head)(output).tolist() == [1, 3]


@pytest.mark.reliability("targets", "a head that the model does not have", "refused, with the names of those it has")
@pytest.mark.parametrize(
    ("target", "output", "message"),
    [
        (Counts(head="count"), {"profile": 0, "counts": 0}, "a dict of 'profile', 'counts': expected one of its parts"),
        (Counts(head=2), (0, 0), "head is 2, and the model returns a tuple of 2"),
        (Counts(head="count"), Heads(0, 0), "a Heads of 'profile', 'counts'"),
        (Counts(head=1), torch.zeros(2, 3), r"one tensor of shape \(2, 3\)"),
        (Counts(), (torch.zeros(2), 0), "a tuple of 2: expected one tensor; name one of its parts .* as head=0"),
        (Counts(), {"profile": 0, "counts": 0}, "with head=, such as head='profile'"),
        (Counts(head=1), (0, 1.5), "head 1 is a float: expected one tensor"),
        (Counts(task=3), torch.zeros(2, 3), "task is 3 and the output has 3: expected -3 to 2"),
        (Counts(task=0), torch.zeros(2), "it has no tasks"),
        (Counts(head="count"), (0, 0), r"the model returns a tuple of 2: expected one of its parts, such as head=0\."),
        (Counts(head=1), torch.zeros(2, 3), r"one tensor of shape \(2, 3\): expected no head\."),
        (Profile(), torch.zeros(2, 1), r"one number for each row: expected a profile, logits of several positions\."),
        (Profile(), torch.zeros(2), r"shape \(2,\): expected \(rows, tasks, positions\)"),
        (WindowMean(5, 12), torch.zeros(2, 1, 10), "the window is 5 to 12 and the output has 10 positions"),
        (Specificity(0), torch.zeros(2, 1), "has no others"),
        (Specificity(1, others=(0, 1)), torch.zeros(2, 3), "has no others"),
        (LogOdds(), torch.zeros(2, 1), "given='binary logits'"),
        (Column(3), torch.zeros(2, 3), "target is 3 and the model has 3 outputs"),
    ],
)
def test_what_an_output_does_not_have(target, output, message):
    with pytest.raises(InputError, match=message):
        target(output)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Counts(reduction="mean"), "reduction is 'mean': expected one of 'sum', 'log_sum', 'logsumexp'"),
        (lambda: Counts(pseudocount=-1), "pseudocount is -1"),
        (lambda: Profile(weights="stopped"), "weights is 'stopped'"),
        (lambda: Specificity(0, against="median"), "against is 'median'"),
        (lambda: Specificity(0, others=()), "others are"),
        (lambda: Specificity(0, others=(1, 1)), "each once"),
        (lambda: LogOdds(given="scores"), "given is 'scores'"),
        (lambda: WindowMean(3), "expected both of start and end"),
        (lambda: Counts(head=1.5), "head is 1.5"),
        (lambda: Counts(head=True), "head is True"),
    ],
)
def test_arguments_that_cannot_be_used(make, message):
    with pytest.raises(InputError, match=message):
        make()


EACH = [*(one for one, _ in TARGETS.values() if isinstance(one, NamedTarget)), CONSTANT]


@pytest.mark.parametrize("target", EACH, ids=str)
def test_each_is_a_value(target):
    assert pickle.loads(pickle.dumps(target)) == target == copy.deepcopy(target)
    assert hash(target) == hash(copy.deepcopy(target))
    assert describe_argument(target) == str(target)  # a run needs no identity
    assert parse(str(target)) == target


def test_no_two_have_the_same_description():
    assert len({describe_argument(one) for one in EACH}) == len(EACH)


heads = st.one_of(st.none(), st.integers(-3, 3), st.text(max_size=5), st.tuples(st.text(max_size=3), st.integers(0, 3)))
made = st.one_of(
    st.builds(Column, st.one_of(st.integers(-9, 9), st.tuples(st.integers(-9, 9), st.integers(0, 9))), heads),
    st.builds(
        Counts,
        st.one_of(st.none(), st.integers(-9, 9)),
        st.sampled_from(["sum", "log_sum", "logsumexp"]),
        st.floats(0, 1e9),
        heads,
        st.booleans(),
    ),
    st.builds(
        Profile, st.none() | st.integers(0, 5), st.sampled_from(["explained", "constant"]), st.booleans(), head=heads
    ),
    st.builds(
        Specificity,
        st.integers(0, 9),
        st.none() | st.lists(st.integers(0, 9), min_size=1, unique=True).map(tuple),
        st.sampled_from(["mean", "max"]),
        st.none() | st.tuples(st.integers(0, 9), st.integers(0, 9)),
        heads,
    ),
    st.builds(LogOdds, st.integers(0, 9), st.sampled_from(["logits", "binary logits", "probabilities"]), heads),
    st.builds(WindowMean, st.integers(0, 9), st.integers(0, 9), head=heads),
)


@given(made)
def test_any_target_comes_back_from_its_text(target):
    assert parse(str(target)) == target


@given(st.integers(1, 4), st.integers(1, 3), st.integers(2, 20), st.floats(-50, 50), st.integers(0, 2**31))
def test_a_profile_does_not_change_with_a_number_added_to_all_logits(rows, tasks, positions, more, seed):
    z = torch.randn(rows, tasks, positions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(Profile()(z), Profile()(z + more), rtol=0, atol=1e-10)
    # Weighted by what is largest, the mean is at least the plain one, which is 0.
    assert (Profile()(z) >= -1e-12).all()


@given(st.integers(1, 4), st.integers(2, 6), st.integers(0, 2**31))
def test_specificities_against_the_mean_sum_to_zero(rows, tasks, seed):
    y = torch.randn(rows, tasks, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    total = sum(Specificity(t)(y) for t in range(tasks))
    assert total.abs().max() < 1e-12
    margins = torch.stack([Specificity(t, against="max")(y) for t in range(tasks)], 1)
    assert ((margins > 0).sum(1) == 1).all()


@pytest.mark.reliability(
    "targets",
    "a task among the others of a specificity twice, once counted from the end",
    "it is refused: it would have twice the weight in the mean",
)
@pytest.mark.parametrize("others", [(1, 2, -1), (-2, 1)])
def test_others_are_tasks_that_differ(others):
    with pytest.raises(InputError, match="expected each task once"):
        Specificity(0, others=others)(torch.rand(2, 3))


@pytest.mark.reliability(
    "targets",
    "arguments of targets of a wrong type: true, a fraction or a text for a task, a window of one bound",
    "each is refused in one sentence when the target is made",
)
@pytest.mark.parametrize(
    "make",
    [
        lambda: Counts(task="x"),
        lambda: Counts(task=1.5),
        lambda: Counts(pseudocount="a"),
        lambda: Profile(task=True),
        lambda: LogOdds(True),
        lambda: LogOdds(0.0),
        lambda: Specificity("0"),
        lambda: Specificity(0, window=(1,)),
        lambda: Specificity(0, window=("a", 2)),
        lambda: Specificity(0, others=1),
        lambda: Specificity(0, others=("a",)),
        lambda: WindowMean("a", 2),
        lambda: WindowMean(1, 2, task=0.5),
    ],
)
def test_arguments_of_a_wrong_type_are_refused_at_once(make):
    with pytest.raises(InputError, match="expected"):
        make()
