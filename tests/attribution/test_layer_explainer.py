"""Contributions of hidden layers: those of a literal oracle, complete at every cut, however a model is written."""

import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import _pytree

import seqlight as sl
from seqlight.errors import InputError, UnsupportedOperation

LENGTH = 16


def explain(model, X, layers, **settings):
    settings = {"device": "cpu", "random_state": 0, "n_shuffles": 4, **settings}
    return sl.attribute(model, X, layers=layers, **settings)


def assert_complete(found, *names):
    """Assert that these outputs contribute the output difference of each pair, and these means that of a sequence."""
    differences = found.outputs.unsqueeze(-1) - found.reference_outputs
    for name in names:
        totals = found.layer_totals[..., found.layer_names.index(name)]
        torch.testing.assert_close(totals, differences, rtol=0, atol=1e-12)
        if found.layers is not None:
            sums = found.layers[name].flatten(found.outputs.ndim).sum(-1)
            torch.testing.assert_close(sums, found.differences, rtol=0, atol=1e-12)


@pytest.fixture
def X():
    return sl.random_one_hot((3, 4, LENGTH), random_state=0)


def sequential(inplace=False):
    torch.manual_seed(0)
    body = [nn.Conv1d(4, 6, 5, padding=2), nn.ReLU(inplace), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(48, 3), nn.Tanh()]
    return nn.Sequential(*body).double()


class Written(nn.Module):
    """A model whose forward is a function of its modules."""

    def __init__(self, forward, **modules):
        super().__init__()
        torch.manual_seed(1)
        for name, module in modules.items():
            self.add_module(name, module)
        self.run = forward
        self.double()

    def forward(self, x):
        return self.run(self, x)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("at", [0, 1, 2, 3, 4])
def test_equal_to_deeplift_of_the_rest_of_the_model(X, at, inplace):
    model, rest = sequential(inplace), sequential()[at + 1 :]
    found = explain(model, X, [str(at)], target=[0, 2])
    with torch.no_grad():
        start = sequential()[: at + 1]
        own, others = start(X.double()), [start(one.double()) for one in found.references]
        for k, target in enumerate((0, 2)):
            oracle = [
                sl.DeepLift(rest).attribute(x.expand_as(r), r, target=target).mean(0)
                for x, r in zip(own, others, strict=True)
            ]
            torch.testing.assert_close(found.layers[str(at)][:, k], torch.stack(oracle), rtol=0, atol=1e-13)
    assert_complete(found, str(at))
    assert torch.equal(found.of_target(1).layers[str(at)], found.layers[str(at)][:, 1])


def test_attributions_are_those_without_layers(X):
    with_layers, without = explain(sequential(), X, True), explain(sequential(), X, None)
    assert torch.equal(with_layers.attributions, without.attributions)
    assert with_layers.layers is None
    assert without.layer_totals is None
    assert_complete(with_layers, *"012345")


@pytest.mark.parametrize("batch_size", [1, 3, 50])
def test_batches_do_not_matter(X, batch_size):
    wanted = explain(sequential(), X, ["0", "3"])
    found = explain(sequential(), X, ["0", "3"], batch_size=batch_size)
    for name in ("0", "3"):
        torch.testing.assert_close(found.layers[name], wanted.layers[name], rtol=0, atol=1e-14)
    torch.testing.assert_close(found.layer_totals, wanted.layer_totals, rtol=0, atol=1e-14)


def test_as_many_references_as_needed(X):
    found = explain(sequential(), X, ["1"], n_shuffles="auto", tolerance=0.5, max_shuffles=60)
    assert len(set(found.n_references.tolist())) > 1
    n = found.n_references.tolist()
    used = found.layer_totals.isfinite().all(dim=-1).sum(dim=1)
    assert used.tolist() == n
    torch.testing.assert_close(found.layers["1"].flatten(1).sum(1), found.differences, rtol=0, atol=1e-12)


def test_a_module_used_twice_has_two_outputs(X):
    def both_strands(self, x):
        return (self.body(x) + self.body(x.flip(1, 2))).mean(-1)

    found = explain(Written(both_strands, body=nn.Sequential(nn.Conv1d(4, 3, 5), nn.ReLU())), X, ["body"])
    assert found.layer_names == ("body#0", "body#1")
    sums = sum(one.flatten(1).sum(1) for one in found.layers.values())
    torch.testing.assert_close(sums, found.differences, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ["major", "minor"])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Identity()])
def test_both_strands_in_one_batch(X, order, activation):
    def forward(self, x):
        both = torch.stack([x, x.flip(1, 2)], dim=1 if order == "major" else 0)
        h = self.body(both.flatten(0, 1)).unflatten(0, both.shape[:2])
        return h.sum(dim=1 if order == "major" else 0).mean(-1) @ torch.tensor([[1.0], [2.0], [-3.0]]).double()

    model = Written(forward, body=nn.Sequential(nn.Conv1d(4, 3, 5), activation))
    found = explain(model, X, ["body"], batch_size=8)
    assert found.layers["body"].shape == (3, 2, 3, 12)
    assert_complete(found, "body")
    with torch.no_grad():
        both = found.references, found.references.flip(2, 3)
        one, other = (torch.stack([model.body(r.double()).mean(0) for r in some]) for some in both)
        own = torch.stack([model.body(X.double()), model.body(X.double().flip(1, 2))], dim=1)
    if isinstance(activation, nn.Identity):
        weights = torch.tensor([1.0, 2.0, -3.0]).double().view(1, 1, 3, 1) / 12
        torch.testing.assert_close(found.layers["body"], (own - torch.stack([one, other], 1)) * weights)


def test_the_batch_may_be_the_second_dimension(X):
    def forward(self, x):
        h = self.up(x.permute(2, 0, 1))
        return self.head(self.attention(h, h, h)[0]).mean(0)

    model = Written(forward, up=nn.Linear(4, 8), attention=nn.MultiheadAttention(8, 2), head=nn.Linear(8, 1))
    for n in (1, 3):
        found = explain(model, X, ["up", "attention", "head"], n_shuffles=n, references=sl.shuffle)
        assert found.layer_names == ("up", "attention[0]", "attention[1]", "head")
        assert found.layers["attention[0]"].shape == (3, LENGTH, 8)
        assert_complete(found, "up", "attention[0]", "head")


class Output(OrderedDict):
    """As Hugging Face's models return: PyTorch can flatten it, but has no names for what it holds."""


_pytree.register_pytree_node(Output, lambda one: (list(one.values()), list(one)), lambda values, _: list(values))


@dataclass
class Fields:
    h: torch.Tensor


@pytest.mark.reliability(
    "attribution",
    "a layer that returns an object of its own, such as Hugging Face's ModelOutput, or a dataclass",
    "its tensors have their places as names; PyTorch's error of a missing flatten_with_keys_fn before",
)
@pytest.mark.parametrize(("kind", "name"), [(Output, "body['h']"), (Fields, "body.h")])
def test_a_layer_that_returns_an_object(X, kind, name):
    body = Written(lambda self, x: kind(h=self.conv(x).tanh()), conv=nn.Conv1d(4, 3, 5))

    def forward(self, x):
        found = self.body(x)
        return (found["h"] if kind is Output else found.h).amax(-1).square()

    found = explain(Written(forward, body=body), X, ["body"])
    assert found.layer_names == (name,)
    assert_complete(found, name)


def test_a_branch_of_a_residual_sum_has_its_part(X):
    def forward(self, x):
        h = self.stem(x)
        return self.head((h + self.branch(h)).flatten(1))

    stem, branch = nn.Conv1d(4, 3, 1), nn.Sequential(nn.Conv1d(3, 3, 3, padding=1), nn.ReLU())
    model = Written(forward, stem=stem, branch=branch, head=nn.Linear(3 * LENGTH, 1))
    found = explain(model, X, ["stem", "branch"])
    assert_complete(found, "stem")
    with torch.no_grad():  # what is left is linear
        weight = model.head.weight.view(1, 3, LENGTH)
        means = torch.stack([model.branch(model.stem(one.double())).mean(0) for one in found.references])
        wanted = (model.branch(model.stem(X.double())) - means) * weight
    torch.testing.assert_close(found.layers["branch"], wanted, rtol=0, atol=1e-13)


def test_a_tuple_has_an_entry_for_each_tensor(X):
    class Pair(nn.Module):
        def forward(self, x):
            return {"sums": x.sum(1), "parts": (torch.tanh(x[:, 0]), None)}

    def forward(self, x):
        h = self.pair(x)
        return (h["sums"] * h["parts"][0]).sum(1)

    found = explain(Written(forward, pair=Pair()), X, ["pair"])
    assert found.layer_names == ("pair['sums']", "pair['parts'][0]")
    torch.testing.assert_close(found.layer_totals.sum(-1), found.outputs.unsqueeze(-1) - found.reference_outputs)


def test_what_an_output_does_not_depend_on_contributes_nothing(X):
    def forward(self, x):
        h = self.body(x).mean(-1)
        return torch.cat([self.one(h), self.other(h)], dim=1)

    model = Written(forward, body=nn.Conv1d(4, 3, 3), one=nn.Linear(3, 1), other=nn.Linear(3, 1))
    found = explain(model, X, ["one", "other"], target=[0, 1])
    assert not found.of_target(0).layers["other"].any()
    assert_complete(found.of_target(0), "one")
    assert_complete(found.of_target(1), "other")


def test_contributions_reduced_by_a_function(X):
    whole = explain(sequential(), X, ["1"])
    found = explain(sequential(), X, ["1"], reduce=lambda one: one.sum(-1))
    torch.testing.assert_close(found.layers["1"], whole.layers["1"].sum(-1), rtol=0, atol=1e-14)
    assert torch.equal(found.layer_totals, whole.layer_totals)


def test_float32_is_complete_to_rounding(X):
    found = explain(sequential().float(), X, ["0", "1", "3"])
    assert found.layers["0"].dtype == torch.float32
    wanted = explain(sequential(), X, ["0", "1", "3"])
    for name, one in found.layers.items():
        torch.testing.assert_close(one.double(), wanted.layers[name], rtol=0, atol=1e-6)


@pytest.mark.reliability(
    "attribution", "contributions of layers are asked for", "the model has its hooks alone, also after an error"
)
@pytest.mark.parametrize("fails", [False, True])
def test_no_hook_is_left(X, fails):
    model = sequential()
    calls = []
    model[1].register_forward_hook(lambda *_: calls.append(threading.get_ident()))
    before = [len(one._forward_hooks) for one in model.modules()]
    if fails:
        model[4].weight.data = torch.zeros(3, 7).double()
        with pytest.raises(RuntimeError):
            explain(model, X, ["1"])
    else:
        explain(model, X, ["1"])
    assert calls
    assert [len(one._forward_hooks) for one in model.modules()] == before
    assert not nn.modules.module._global_forward_hooks


@pytest.mark.parametrize(
    ("layers", "met"),
    [
        (["9"], "'9', which is no module"),
        *(([f"body{end}"], "an output of the module 'body': ask for 'body'") for end in ("#1", "[0]", ": branch 0")),
        (["unused"], "'unused', which is not called"),
        (["body", "body"], "named before"),
        ("body", "layers is 'body'"),
        ([], r"layers is \[\]"),
    ],
)
@pytest.mark.reliability("attribution", "layers names no module, or one that is not called", "refused, by its name")
def test_what_is_no_layer(X, layers, met):
    model = Written(lambda self, x: self.body(x).mean(-1), body=nn.Conv1d(4, 1, 3), unused=nn.Linear(2, 2))
    with pytest.raises(InputError, match=met):
        explain(model, X, layers)


def test_the_name_of_a_layer_within_a_module_around_the_model(X):
    with pytest.raises(InputError, match=r"layers names '1', which is no module of the model: expected '0\.1'\."):
        explain(nn.Sequential(sequential()), X, ["1"])


def test_reductions_that_cannot_be(X):
    with pytest.raises(InputError, match="reduce returned"):
        explain(sequential(), X, ["1"], reduce=lambda one: one.sum())
    with pytest.raises(InputError, match="reduce is given without layers"):
        explain(sequential(), X, None, reduce=torch.sum)
    with pytest.raises(InputError, match="keeps totals alone"):
        explain(sequential(), X, True, reduce=torch.sum)
    with pytest.raises(InputError, match="explain one member at a time"):
        explain(sl.Ensemble([sequential(), sequential()]), X, ["1"])


@pytest.mark.reliability("attribution", "contributions of a layer that is called once for each row", "refused")
def test_a_loop_over_rows_is_refused(X):
    def forward(self, x):
        return torch.cat([self.body(one[None]).mean(-1) for one in x])

    with pytest.raises(UnsupportedOperation, match="differ between batches"):
        explain(Written(forward, body=nn.Conv1d(4, 1, 3)), X, ["body"])


def test_a_reentrant_checkpoint_and_a_thread_of_another_model(X):
    from torch.utils.checkpoint import checkpoint

    def forward(self, x):
        other = threading.Thread(target=lambda: self.body(torch.zeros(1, 4, LENGTH).double()))
        other.start()
        other.join()
        return checkpoint(self.body, x, use_reentrant=False).mean(-1)

    found = explain(Written(forward, body=nn.Sequential(nn.Conv1d(4, 1, 3), nn.Tanh())), X, ["body"])
    assert found.layer_names == ("body",)
    assert_complete(found, "body")


def test_an_activation_that_is_overwritten_later(X):
    def forward(self, x):
        h = self.body(x)
        y = F.relu(h)
        h.mul_(2.0)
        return (y + h).mean(-1)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = explain(Written(forward, body=nn.Conv1d(4, 1, 3)), X, ["body"])
    assert_complete(found, "body")


@pytest.mark.reliability("attribution", "the ledger of a model that calls no modules", "refused, with what to do")
def test_a_model_without_modules_has_no_ledger(X):
    with pytest.raises(InputError, match="calls no module"):
        explain(Written(lambda self, x: torch.tanh(x[:, 0].mean(-1))), X, True)


def test_totals_in_float32_and_of_numbers_alone(X):
    model = nn.Sequential(nn.Conv1d(4, 3, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten(0), nn.Unflatten(0, (-1, 3)))
    torch.manual_seed(0)
    model = nn.Sequential(*model, nn.Tanh(), nn.Linear(3, 1), nn.Flatten(0))
    found = explain(model, X, True)
    differences = (found.outputs.unsqueeze(-1) - found.reference_outputs).unsqueeze(-1)
    torch.testing.assert_close(found.layer_totals, differences.expand_as(found.layer_totals), rtol=0, atol=1e-6)
    assert found.ledger["complete"].all()


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_single_reference_has_the_shapes_of_its_sequence(X, batch_size):
    found = explain(sequential(), X, True, n_shuffles=1, references=sl.shuffle, batch_size=batch_size)
    assert_complete(found, *"012345")


@pytest.mark.reliability("attribution", "a layer that is called once for each few rows", "refused")
def test_a_loop_over_a_few_rows_is_refused(X):
    def forward(self, x):
        return torch.cat([self.body(some).mean(-1) for some in x.split(4)])

    with pytest.raises(UnsupportedOperation, match=r"differ between batches|references reached"):
        explain(Written(forward, body=nn.Conv1d(4, 1, 3)), X, ["body"])


@pytest.mark.reliability(
    "memory",
    "memory that runs out once while it is found out which dimension of a hidden layer holds the sequences",
    "found out again; before, the first dimension was taken for it",
)
@pytest.mark.filterwarnings("ignore::seqlight.MemoryWarning")
def test_memory_that_runs_out_while_rows_are_looked_for(X):
    def forward(self, x):
        self.calls += 1
        if self.calls in self.short:
            raise torch.OutOfMemoryError("out of memory")
        return self.head(self.body(x.permute(2, 0, 1))[0][-1])

    def contributions(short):
        torch.manual_seed(0)
        model = Written(forward, body=nn.GRU(4, 5), head=nn.Linear(5, 1))
        model.calls, model.short = 0, short
        return explain(model, X, ["body"], references=X.roll(1, -1)[:, None]).layers["body[0]"]

    expected = contributions(())
    assert expected.shape == (len(X), LENGTH, 5)
    torch.testing.assert_close(contributions((2,)), expected, rtol=0, atol=1e-12)
