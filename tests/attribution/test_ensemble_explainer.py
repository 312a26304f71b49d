"""An ensemble is explained member by member, exactly like the one model that it is, and with its spread."""

import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import seqlight as sl
from seqlight.attribution import member_spread
from seqlight.attribution.member_spread import spread_of_members
from seqlight.errors import InputError, IntegratedWarning, UnsupportedOperation
from seqlight.lit import DeepLiftShapModule
from seqlight.targets import Profile
from user_operations import by_numpy

X = sl.random_one_hot((5, 4, 30), random_state=0)


def network(seed=0, last=None):
    torch.manual_seed(seed)
    layers = [nn.Conv1d(4, 6, 5), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6 * 13, 2), last or nn.Sigmoid()]
    return nn.Sequential(*layers).double()


class Plain(nn.Module):
    """The same mean, as any model has it: its members in one graph."""

    def __init__(self, ensemble):
        super().__init__()
        self.ensemble = ensemble

    def forward(self, X, *args):
        return self.ensemble(X, *args)


@pytest.fixture(scope="module")
def ensemble():
    return sl.Ensemble([network(0), network(1)], "both", (-2, 0, 3))


def explained(model, target=1, **options):
    return sl.attribute(model, X, target=target, n_shuffles=4, random_state=0, **options)


FIELDS = ("attributions", "hypothetical", "outputs", "reference_outputs", "standard_error", "multipliers")


def test_it_is_explained_like_the_one_model_that_it_is(ensemble):
    found, wanted = (explained(one, multipliers=True, deltas="raise") for one in (ensemble, Plain(ensemble)))
    for name in FIELDS:
        assert torch.allclose(getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-14)
    assert found.deltas.abs().max() < 1e-14
    assert torch.equal(found.references, wanted.references)
    assert wanted.spread is None


def test_it_is_the_mean_of_its_members_and_their_spread_is_told(ensemble):
    found = explained(ensemble, [0, 1])
    members = torch.stack([explained(one, [0, 1]).hypothetical for one in ensemble.members()])
    assert torch.allclose(found.hypothetical, members.mean(0), rtol=0, atol=1e-14)
    assert torch.allclose(found.spread, members.std(0, correction=0), rtol=0, atol=1e-14)
    by_place = members.view(2, 2, 3, *members.shape[1:])
    for name, others in (("folds", (1, 2)), ("strands", (0, 2)), ("shifts", (0, 1))):
        wanted = by_place.mean(others).std(0, correction=0)
        assert torch.allclose(getattr(found, f"spread_over_{name}"), wanted, rtol=0, atol=1e-14)
    assert found.spread.shape == found.attributions.shape == (5, 2, 4, 30)
    assert torch.equal(found.of_target(1).spread, found.spread[:, 1])
    assert "spread_over_folds" in repr(found)


def test_strands_come_back_letter_by_letter():
    """The attributions of the reverse strand are those of the reverse complement, turned back."""
    model = network()
    found = explained(sl.Ensemble(model, "reverse"), references=explained(model).references)
    turned = sl.attribute(
        model,
        sl.reverse_complement(X),
        target=1,
        references=explained(model).references.flip(2, 3),
        keep_references=False,
    )
    assert torch.allclose(found.hypothetical, turned.hypothetical.flip(1, 2), rtol=0, atol=1e-14)


def test_what_a_shift_moves_out_is_not_explained():
    found = explained(sl.Ensemble(network(), shifts=(3,)), deltas="raise")
    assert found.attributions[:, :, -3:].abs().max() == 0
    assert found.attributions[:, :, :-3].abs().sum() > 0
    assert found.deltas.abs().max() < 1e-14  # complete nevertheless


def test_only_what_varies_has_a_spread():
    folds = explained(sl.Ensemble([network(0), network(1)]))
    assert folds.spread_over_strands is None
    assert folds.spread_over_shifts is None
    assert torch.equal(folds.spread, folds.spread_over_folds)
    alone = explained(sl.Ensemble(network()))
    assert alone.spread is None
    assert torch.allclose(alone.attributions, explained(network()).attributions, rtol=0, atol=1e-15)
    same = explained(sl.Ensemble([network(0), network(0)]))
    assert same.spread.abs().max() < 1e-16


def test_deep_lift_shap_is_the_same(ensemble):
    found = sl.deep_lift_shap(ensemble, X, target=1, n_shuffles=4, random_state=0, return_references=True)
    assert torch.allclose(found.attributions, explained(ensemble).attributions, rtol=0, atol=1e-15)
    raw = sl.deep_lift_shap(ensemble, X, target=1, n_shuffles=4, random_state=0, raw_outputs=True)
    assert torch.allclose(raw, explained(ensemble, multipliers=True).multipliers, rtol=0, atol=1e-15)


@pytest.mark.parametrize("batch_size", [1, 7, "auto"])
def test_results_do_not_depend_on_the_batch_size(ensemble, batch_size):
    wanted, found = explained(ensemble, batch_size=32), explained(ensemble, batch_size=batch_size)
    for name in ("attributions", "spread", "spread_over_shifts"):
        assert torch.allclose(getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-14)


def test_as_many_references_as_the_mean_needs(ensemble):
    options = {"n_shuffles": "auto", "max_shuffles": 60, "tolerance": 0.3, "target": 1, "random_state": 0}
    found, wanted = (sl.attribute(one, X, **options) for one in (ensemble, Plain(ensemble)))
    assert found.n_references.tolist() == wanted.n_references.tolist()
    assert len(set(found.n_references.tolist())) > 1
    assert torch.allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-14)
    for i, n in enumerate(found.n_references.tolist()):
        one = sl.attribute(ensemble, X[i : i + 1], target=1, references=found.references[i : i + 1, :n].double())
        assert torch.allclose(found.spread[i], one.spread[0], rtol=0, atol=1e-14)


def test_a_target_that_is_not_linear_is_that_of_each_member():
    """What is explained is the mean of the members' targets, not the target of their mean."""

    class Track(nn.Module):
        def __init__(self, seed):
            super().__init__()
            torch.manual_seed(seed)
            self.conv = nn.Conv1d(4, 2, 7).double()

        def forward(self, X):
            return self.conv(X) * 3, X.sum(dim=(1, 2))

    folds = sl.Ensemble([Track(0), Track(1)], "both", positions=2, strand_channels=1)
    for target in (Profile(head=0), Profile(head=0, weights="constant")):
        found = explained(folds, target, deltas="raise")
        each = [explained(one, target) for one in folds.members()]
        for name in ("attributions", "outputs", "reference_outputs"):
            mean = torch.stack([getattr(one, name) for one in each]).mean(0)
            assert torch.allclose(getattr(found, name), mean, rtol=0, atol=1e-14)


def test_further_inputs():
    class Scaled(nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.inner = network(seed)

        def forward(self, X, scale):
            return self.inner(X) * scale

    scale = torch.rand(5, 1).double()
    ensemble = sl.Ensemble([Scaled(0), Scaled(1)], "both")
    found, wanted = (explained(one, args=[scale]) for one in (ensemble, Plain(ensemble)))
    assert torch.allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-14)


def test_members_are_given_back(ensemble):
    ensemble.models[0].train()
    before = {name: one.clone() for name, one in ensemble.state_dict().items()}
    state = torch.get_rng_state()
    explained(ensemble)
    assert ensemble.models[0].training
    assert all(one.requires_grad and one.grad is None for one in ensemble.parameters())
    assert all(torch.equal(one, before[name]) for name, one in ensemble.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not ensemble.models[0]._forward_hooks
    ensemble.models[0].train(ensemble.training)


def test_members_are_in_memory_one_after_another():
    """When a member begins, nothing is left of what the one before kept for its backward pass."""
    alive = []

    class Watched(nn.Module):
        def __init__(self, seed):
            super().__init__()
            self.inner, self.left = network(seed), []

        def forward(self, X):
            if not alive or alive[-1][0] is not self:
                self.left.append([one for _, one in alive if one() is not None])
            y = self.inner(X)
            alive.append((self, weakref.ref(y.grad_fn) if y.grad_fn is not None else lambda: None))
            return y

    ensemble = sl.Ensemble([Watched(seed) for seed in range(3)])
    explained(ensemble)
    assert all(one.left and not any(one.left) for one in ensemble.models)
    assert sum(one() is not None for _, one in alive) == 0


def test_a_member_that_names_itself_is_not_named_twice():
    class Track(nn.Module):
        def forward(self, X):
            return X.cumsum(2)

    with pytest.raises(InputError, match=r"^fold 0, reverse strand returns a tensor of shape"):
        explained(sl.Ensemble(Track(), "reverse"))


def test_an_operation_that_is_integrated_is_announced_once():
    class Powers(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv1d(4, 2, 3), nn.Linear(2, 2)

        def forward(self, X):
            h = self.first(X)
            return self.last(((h.square() + 1) ** h.flip(1)).mean(2))

    ensemble = sl.Ensemble([Powers().double(), Powers().double()], "both")
    with pytest.warns(IntegratedWarning) as warned:
        sl.attribute(ensemble, X[:1, :, :12], n_shuffles=2, random_state=0)
    assert len(warned) == 1


class Mixing(nn.Module):
    def forward(self, X):
        return X[:, 0, :2] - X[:, 0].mean()


class Unseen(nn.Module):
    def forward(self, X):
        return by_numpy(X[:, 0, :2])


@pytest.mark.reliability("ensembles", "a member that cannot be explained", "refused, and the member is named")
@pytest.mark.parametrize(("bad", "message"), [(Mixing(), "mixes the rows"), (Unseen(), "does not depend on")])
def test_a_member_that_is_refused_is_named(bad, message):
    good = network()
    with pytest.raises(UnsupportedOperation, match=f"fold 1, reverse strand, shift 2 of the ensemble: .*{message}"):
        explained(sl.Ensemble([good, bad], "reverse", (2,)))
    assert good.training
    assert all(one.requires_grad for one in good.parameters())


def square(y):
    return y[:, 1].square()


@pytest.mark.parametrize("target", [1, square])
def test_the_other_methods_explain_the_same_mean(target):
    """Of a target that is not linear, too: that of each member."""
    ensemble, some = sl.Ensemble([network(0), network(1)], "both"), X[:2, :, :30]
    methods = {
        "gradients": lambda one: sl.input_x_gradient(one, some, target=target),
        "integrated": lambda one: sl.integrated_gradients(
            one, some, target=target, n_shuffles=2, n_steps=3, random_state=0
        ),
    }
    for method in methods.values():
        found, each = method(ensemble), [method(one) for one in ensemble.members()]
        for name in ("attributions", "outputs"):
            mean = torch.stack([getattr(one, name) for one in each]).mean(0)
            assert torch.allclose(getattr(found, name), mean, rtol=0, atol=1e-14)
    found, *each = (
        sl.saturation_mutagenesis(one, some, target=target, start=5, end=9, func=torch.tanh)
        for one in (ensemble, *ensemble.members())
    )
    assert torch.allclose(found, torch.stack(each).mean(0), rtol=0, atol=1e-14)


def test_the_module_of_a_run_keeps_the_spread(ensemble, tmp_path):
    module = DeepLiftShapModule(ensemble, target=1, n_shuffles=4, keep=("spread",))
    found, wanted = module.predict_step(X), explained(ensemble)
    for name in ("attributions", "spread", "spread_over_folds", "spread_over_strands", "spread_over_shifts", "deltas"):
        assert torch.equal(found[name], getattr(wanted, name))
    strands = DeepLiftShapModule(sl.Ensemble(network(), "both"), keep=("spread",))
    assert {one for one in strands.predict_step(X) if "spread" in one} == {"spread", "spread_over_strands"}
    for model in (network(), sl.Ensemble(network())):
        with pytest.raises(InputError, match="keep names 'spread': expected as model a seqlight"):
            DeepLiftShapModule(model, keep=("spread",))


def test_a_run_of_an_ensemble(ensemble, tmp_path):
    options = {"target": 1, "n_shuffles": 4, "keep": ("spread",)}
    found = sl.run(DeepLiftShapModule(ensemble, **options), X, out=tmp_path, devices=1, accelerator="cpu", batch_size=2)
    wanted = explained(ensemble)
    for name in ("attributions", "spread", "spread_over_shifts"):
        assert torch.allclose(torch.as_tensor(found[name][:]), getattr(wanted, name), rtol=0, atol=1e-14)


def test_the_spread_of_many_sequences_is_computed_in_parts(monkeypatch):
    members = torch.randn(7, 2, 3, 2, 1, 4, 5)
    whole = spread_of_members(members)
    monkeypatch.setattr(member_spread, "MOST_NUMBERS", 500)
    for name, one in spread_of_members(members).items():
        assert (one is whole[name] is None) or torch.equal(one, whole[name])


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(0, 2**31))
def test_the_spreads_of_factors_are_main_effects(folds, strands, shifts, seed):
    members = torch.randn(2, 1, folds, strands, shifts, 4, 3, generator=torch.Generator().manual_seed(seed)).double()
    found = spread_of_members(members)
    if folds * strands * shifts == 1:
        assert set(found.values()) == {None}
        return
    effects = [one.square() for name, one in found.items() if one is not None and name != "spread"]
    assert len(effects) == sum(n > 1 for n in (folds, strands, shifts))
    assert (sum(effects) <= found["spread"].square() + 1e-12).all()
    if len(effects) == 1:
        assert torch.allclose(effects[0], found["spread"].square(), rtol=0, atol=1e-12)
