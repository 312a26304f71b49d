"""A penalty on attributions as a term of a loss: alone, in TrainModule, with accumulation, autocast and processes."""

import copy
import os
import pickle
import subprocess
import sys
import warnings

import lightning.pytorch as L
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import seqlight as sl
from seqlight.datasets import ArrayDataset
from seqlight.errors import InputError
from seqlight.lit import AttributionPrior, TrainModule
from seqlight.lit.penalties import Distance, Fourier, Sparsity, Window


def halves(X, n=1):
    return torch.full((len(X), n, *X.shape[1:]), 0.25)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 4, 5), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(32, 1))


PRIOR = AttributionPrior(Sparsity(), references=halves)


@pytest.fixture
def X():
    return sl.random_one_hot((16, 4, 12), random_state=0)


def fit(module, X, **settings):
    rows = torch.utils.data.DataLoader(ArrayDataset(X, torch.arange(16.0).remainder(2)), batch_size=4)
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **{"max_epochs": 1} | settings,
    )  # fmt: skip
    trainer.fit(module, rows, rows if isinstance(module, TrainModule) else None)
    return trainer.callback_metrics


def test_the_term_is_the_weighted_mean_of_the_penalty(X):
    model = network()
    prior = AttributionPrior(Sparsity(), weight=0.5, references=halves)
    found = prior(model, X)
    expected = sl.deep_lift_shap(model, X, references=halves, n_shuffles=1).sum(1).abs().sum(1).mean() / 2
    torch.testing.assert_close(found.detach(), expected)


@pytest.mark.parametrize("settings", [{}, {"accumulate_grad_batches": 2}, {"precision": "bf16-mixed"}])
def test_training_with_priors_makes_attributions_sparser(X, settings):
    def size(weight):
        model = network()
        priors = {"sparsity": AttributionPrior(Sparsity(), weight, references=halves)}
        metrics = fit(TrainModule(model, priors=priors), X, max_epochs=8, **settings)
        assert {"train_loss", "train_sparsity"} <= metrics.keys()
        assert model[1].num_batches_tracked == 32  # once in each step, not for attributions
        return float(sl.deep_lift_shap(model, X, references=halves, n_shuffles=1).sum(1).abs().sum(1).mean())

    assert size(1.0) < 0.99 * size(0.0)


def test_the_penalty_is_not_rounded_by_autocast(X):
    prior = AttributionPrior(lambda found, _: (found.flatten(1) @ found.flatten(1).T).sum(1), references=halves)
    model = network()
    expected = prior(model, X)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(prior(model, X), expected, rtol=1e-6, atol=0)


def test_a_step_of_the_module_computes_nothing_twice(X, monkeypatch):
    convolutions = []
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(32, 1))
    module = TrainModule(model, priors=dict.fromkeys("ab", PRIOR))
    monkeypatch.setattr(module, "log", lambda *args, **more: None)

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            convolutions.extend([func] * (func.overloadpacket is torch.ops.aten.convolution))
            return func(*args, **(kwargs or {}))

    with Counting():
        loss = module.training_step((X, torch.zeros(16)), 0)
    assert len(convolutions) == 3  # of the loss, and of the references of both priors
    expected = module._loss((X, torch.zeros(16)))[0] + 2 * PRIOR(model, X)
    torch.testing.assert_close(loss, expected)


class Centred(nn.Module):
    """Writes to its input."""

    def __init__(self):
        super().__init__()
        self.layers = network()

    def forward(self, x):
        x -= 0.25
        return self.layers(x)


@pytest.mark.reliability(
    "Attributions to train with",
    "a model that writes to its input, trained on float sequences with several priors",
    "each prior has the attributions of the sequences as they are in the data",
)
def test_each_prior_has_the_sequences_of_the_data(X, monkeypatch):
    torch.manual_seed(0)
    terms, rows = {}, X.float()
    module = TrainModule(Centred(), priors=dict.fromkeys("ab", PRIOR))
    monkeypatch.setattr(module, "log", lambda name, value, **_: terms.update({name: value.detach()}))
    module.training_step((rows, torch.zeros(16)), 0)
    assert torch.equal(rows, X)
    expected = PRIOR(module.model, X).detach()
    torch.testing.assert_close([terms["train_a"], terms["train_b"]], [expected, expected])


def test_any_module_can_use_it_in_one_line(X):
    class Mine(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.model, self.prior = network(), AttributionPrior(Window(4, 8), references=halves)

        def training_step(self, batch, batch_idx):
            X, y = batch
            loss = nn.functional.binary_cross_entropy_with_logits(self.model(X.float())[:, 0], y)
            return loss + self.prior(self.model, X)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    module = Mine()
    before = module.model[0].weight.detach().clone()
    fit(module, X)
    assert not torch.equal(module.model[0].weight, before)


def test_the_same_seed_gives_the_same_references(X):
    prior = AttributionPrior(Sparsity())
    model, found = network(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(float(prior(model, X).detach()))
    assert found[0] == found[1] != found[2]


def test_it_can_be_pickled(X):
    prior = pickle.loads(pickle.dumps(AttributionPrior(Fourier(), 2.0)))
    assert (prior.penalty, prior.weight) == (Fourier(), 2.0)


@pytest.mark.reliability(
    "Attributions to train with",
    "a penalty that does not return a number for each row, or a negative weight",
    "an error that says what was returned and what is wanted",
)
def test_what_is_no_penalty_is_refused(X):
    with pytest.raises(InputError, match=r"the penalty returned shape \(\).*expected \(16,\)"):
        AttributionPrior(lambda attributions, X: attributions.sum())(network(), X)
    with pytest.raises(InputError, match="weight is -1"):
        AttributionPrior(Sparsity(), -1)
    with pytest.raises(InputError, match="kind is 'l2'"):
        Sparsity("l2")
    with pytest.raises(InputError, match="the window is 3 to 99"):
        AttributionPrior(Window(3, 99))(network(), X)
    with pytest.raises(InputError, match="given returned shape"):
        AttributionPrior(Distance(lambda X: X[:2]))(network(), X)


def one_argument(attributions):
    return attributions.sum((1, 2))


@pytest.mark.reliability(
    "Attributions to train with",
    "a prior of something that is no penalty, or of no single target; priors that are no mapping of names",
    "one sentence, when the prior or the module is made",
)
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttributionPrior("fourier"), "penalty is a str, which cannot be called: expected a function"),
        (lambda: AttributionPrior(Fourier), r"penalty is the class Fourier: expected one of its objects, Fourier\(\)"),
        (lambda: AttributionPrior(one_argument), r"the penalty takes \(attributions\): expected \(attributions, X\)"),
        (lambda: AttributionPrior(Fourier(), weight="1"), "weight is '1': expected a number"),
        (lambda: AttributionPrior(Fourier(), target=[0, 1]), "target is a list: one prior explains one target"),
        (lambda: AttributionPrior(Fourier(), target="cuonts"), "target is 'cuonts': did you mean 'counts'"),
        (lambda: AttributionPrior(Fourier(), target=None), "target is None: expected a number"),
        (lambda: AttributionPrior(Fourier(), target=sl.Contrast(0, "cuonts")), "target is 'cuonts': did you mean"),
        (lambda: AttributionPrior(Fourier(), target=sl.Contrast(None, 1)), "target is None: expected a number"),
        (lambda: AttributionPrior(Fourier(), target=sl.Contrast(0, [1])), r"a side of the contrast is \[1\]: expected"),
        (lambda: AttributionPrior(Fourier(), n_references=0), "n_references is 0: expected 1 or more"),
        (lambda: Distance(torch.zeros(1, 4, 12)), "given is a Tensor: expected a function"),
        (lambda: TrainModule(network(), priors=[PRIOR]), "priors is a list: expected a mapping of names"),
        (lambda: TrainModule(network(), priors=PRIOR), "priors is an AttributionPrior: expected a mapping of names"),
        (
            lambda: TrainModule(network(), priors={"f": Fourier()}),
            "the prior 'f' is a Fourier: expected an Attribution",
        ),
        *(
            (lambda name=name: TrainModule(network(), priors={name: PRIOR}), f"priors has the name {name!r}: expected")
            for name in ("a.b", "loss", "", 1, "keys")
        ),
    ],
)
def test_what_cannot_be_used_is_refused_when_it_is_given(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.reliability(
    "Attributions to train with",
    "a prior from which nothing is learned: gradients are switched off, or the penalty is detached",
    "a warning that says why, unless the prior is in evaluation mode",
)
def test_a_term_without_a_graph_is_told(X):
    detached = AttributionPrior(lambda attributions, X: attributions.detach().sum((1, 2)), references=halves)
    with pytest.warns(sl.SeqlightWarning, match="for the penalty returned a constant") as caught:
        detached(network(), X)
    with pytest.warns(sl.SeqlightWarning, match="for gradients are switched off"), torch.no_grad():
        PRIOR(network(), X)
    assert caught[0].filename == __file__
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        copy.deepcopy(PRIOR).eval()(network(), X)
    with pytest.raises(InputError, match="the penalty returned a float: expected a tensor"):
        AttributionPrior(lambda attributions, X: 0.0, references=halves)(network(), X)


JOB = """
import sys, torch, torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
import seqlight as sl
from seqlight.lit import AttributionPrior, ForwardRecord
from seqlight.lit.penalties import Sparsity

class Step(nn.Module):
    def __init__(self, recorded):
        super().__init__()
        self.recorded = recorded
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Conv1d(4, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(32, 1)).double()
        halves = lambda X, n=1: torch.full((len(X), n, *X.shape[1:]), 0.25)
        self.prior = AttributionPrior(Sparsity("gini"), references=halves)
    def forward(self, X):
        with ForwardRecord(self.model) as record:
            loss = self.model(X.double()).square().mean()
        return loss + self.prior(self.model, X, record if self.recorded else None)

X = sl.random_one_hot((8, 4, 12), random_state=0)
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
step = Step(False)
step(X).backward()
alone = [p.grad.clone() for p in step.parameters()]
wrapped = DistributedDataParallel(Step(True))
wrapped(X[4 * rank : 4 * rank + 4]).backward()
for a, p in zip(alone, wrapped.parameters()):
    torch.testing.assert_close(p.grad, a)
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tmp_path):
    arguments = [sys.executable, "-W", "ignore", "-c", JOB]
    running = [
        subprocess.Popen([*arguments, str(rank), str(tmp_path / "meeting")], stderr=subprocess.PIPE, env=os.environ)
        for rank in (0, 1)
    ]
    for one in running:
        _, errors = one.communicate(timeout=120)
        assert one.returncode == 0, errors.decode()


def test_the_loss_may_use_the_outputs_that_the_prior_has_computed(X):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    prior = AttributionPrior(Sparsity(), references=halves, n_references=2)
    (model(X.float()).square().mean() + prior(model, X)).backward()
    expected = [one.grad.clone() for one in model.parameters()]
    model.zero_grad()
    term, outputs = prior.with_outputs(model, X)
    torch.testing.assert_close(outputs, model(X.float()))
    (outputs.square().mean() + term).backward()
    torch.testing.assert_close([one.grad for one in model.parameters()], expected)
