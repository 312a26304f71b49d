"""Callbacks leave a training unaffected: weights, optimizers and random generators, bit for bit, in any training."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from torch import nn

import seqlight as sl
from seqlight.lit.training import TrainModule
from seqlight_callbacks import (
    AttributionCallback,
    AttributionReport,
    LogoCallback,
    RandomizationCallback,
    SeqletCallback,
)
from seqlight_callbacks.methods import METHODS

HOOKS = ("validation", "train")
ACCUMULATING = {"accumulate_grad_batches": 3, "val_check_interval": 0.5}


class Manual(TrainModule):
    """Manual optimization with two optimizers."""

    automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            loss, _ = self._loss(batch)
            self.manual_backward(loss)
            if batch_idx % 2:  # gradients accumulate, also over the end of an epoch
                optimizer.step()
                optimizer.zero_grad()

    def configure_optimizers(self):
        return [torch.optim.SGD(self.model[0].parameters(), lr=0.1), torch.optim.Adam(self.model[-1].parameters())]


class Counting(nn.Sequential):
    """Noise whose size depends on how often the model was called, and the last outputs, as plain attributes."""

    def __init__(self, *layers):
        super().__init__(*layers)
        self.calls, self.last = 0, []

    def forward(self, X):
        self.calls += 1
        y = super().forward(X)
        self.last.append(y.detach().mean())
        return y * (1 + 0.01 * self.calls) + self.last[-1] if self.training else y


class WithWorkers(L.LightningDataModule):
    """Shuffled by the global generator, loaded by a process of its own."""

    def __init__(self, data):
        super().__init__()
        self.splits = data.splits

    def train_dataloader(self):
        return self._loader("train", shuffle=True)

    def val_dataloader(self):
        return self._loader("valid")

    def _loader(self, split, **settings):
        return torch.utils.data.DataLoader(self.splits[split], batch_size=2, num_workers=1, **settings)


def averaged():
    return [EMAWeightAveraging(decay=0.9, update_every_n_steps=1)]


def compiled(backend):
    def make(net):
        torch._dynamo.reset()
        return torch.compile(net, backend=backend)

    return make


pytestmark = [
    # Once for a compiled model, which is attributed uncompiled.
    pytest.mark.filterwarnings("ignore:the model is compiled:seqlight.errors.SeqlightWarning"),
    # From PyTorch, when it loads its compiler.
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
]


@dataclass
class Case:
    """A way to train."""

    settings: dict[str, Any] = field(default_factory=dict)
    before: Callable[[], list[L.Callback]] = list
    after: Callable[[], list[L.Callback]] = list
    module: type[TrainModule] = TrainModule
    change: Callable[[nn.Module], nn.Module] = lambda net: net
    data: Callable[[Any], L.LightningDataModule] = lambda data: data


# The network of `toy` has dropout, batch norm and a frozen layer.
CASES = {
    "plain": Case(),
    "accumulating": Case(ACCUMULATING),
    "clipping": Case({"gradient_clip_val": 0.05}),
    "bf16-mixed": Case({"precision": "bf16-mixed"}),
    "workers": Case(data=WithWorkers),
    "averaging before": Case(before=averaged),
    "averaging after": Case(after=averaged),
    "swa": Case({"max_epochs": 4}, before=lambda: [StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2)]),
    "compiled": Case(change=compiled("eager")),
    "manual": Case(module=Manual),
    "counting": Case(change=lambda net: Counting(*net)),
}
SLOW = {"compiled by inductor": Case(change=compiled("inductor")), "bf16-true": Case({"precision": "bf16-true"})}


def watchers(toy, on, out=None, **settings):
    first = AttributionCallback(toy.sequences(5, seed=3), n_shuffles=3, on=on, untrained=True, out=out, **settings)
    # Little to draw, as drawing takes longer than the rest.
    return [first, SeqletCallback(threshold=0.3), LogoCallback(examples=(0,), end=5), AttributionReport(examples=(0,))]


def left_by(toy, case, callbacks=()):
    """Train, and return everything that the training leaves."""
    module = case.module(case.change(toy.network()))
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(1)
    trainer = toy.trainer([*case.before(), *callbacks, *case.after()], **case.settings)
    trainer.fit(module, case.data(toy.data()))
    return left(trainer, module)


def left(trainer, module):
    optimizers = [list(one.state_dict()["state"].values()) for one in trainer.optimizers]
    return {
        "weights": dict(module.state_dict()),
        "optimizers": optimizers,
        "gradients": [one.grad for one in module.parameters()],
        "modes": [one.training for one in module.modules()],
        "frozen": [one.requires_grad for one in module.parameters()],
        "random": (torch.get_rng_state(), np.random.get_state()[1:3], random.getstate()),
        "epochs": trainer.current_epoch,
        "losses": [float(trainer.callback_metrics[name]) for name in ("valid_loss",)],
    }


def same(a, b):
    """Return whether two structures are equal, tensors to the last bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def require_same(a, b):
    different = [name for name in a if not same(a[name], b[name])]
    assert not different


@pytest.fixture(scope="module")
def alone():
    """What the trainings leave without callbacks of ours, each run once."""
    known = {}

    def found(toy, name, case):
        if name not in known:
            known[name] = left_by(toy, case)
        return known[name]

    return found


@pytest.mark.parametrize("on", HOOKS)
@pytest.mark.parametrize("name", CASES)
def test_attributions_and_seqlets_in_every_kind_of_training(toy, alone, name, on):
    before = alone(toy, name, CASES[name])
    callbacks = [*watchers(toy, on)[:2], RandomizationCallback(steps=1, n_draws=1)]
    after = left_by(toy, CASES[name], callbacks)
    require_same(before, after)
    assert callbacks[0].record.epoch == after["epochs"]
    assert not callbacks[2].result.alike


@pytest.mark.parametrize("on", HOOKS)
def test_all_callbacks_at_once(toy, alone, tmp_path, on):
    callbacks = watchers(toy, on, out=tmp_path / "epochs")
    require_same(alone(toy, "accumulating", CASES["accumulating"]), left_by(toy, CASES["accumulating"], callbacks))
    # At the start, and at the two validations, or at the end, of each of two epochs.
    assert len(list((tmp_path / "epochs").iterdir())) == (5 if on == "validation" else 3)
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("on", HOOKS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method(toy, alone, method, on):
    callbacks = watchers(toy, on, method=method)[:1]
    require_same(alone(toy, "accumulating", CASES["accumulating"]), left_by(toy, CASES["accumulating"], callbacks))
    assert callbacks[0].record is not None


@pytest.mark.parametrize("which", [1, 2, 3], ids=["seqlets", "logos", "report"])
def test_every_callback_alone(toy, alone, which):
    callbacks = watchers(toy, "train")
    require_same(alone(toy, "plain", CASES["plain"]), left_by(toy, CASES["plain"], [callbacks[0], callbacks[which]]))


@pytest.mark.slow
@pytest.mark.parametrize("on", HOOKS)
@pytest.mark.parametrize("which", range(4), ids=["attribution", "seqlets", "logos", "report"])
@pytest.mark.parametrize("name", [*CASES, *SLOW])
def test_every_callback_in_every_kind_of_training(toy, alone, name, which, on):
    case = (CASES | SLOW)[name]
    callbacks = watchers(toy, on)
    mine = callbacks[: which + 1] if which < 2 else [callbacks[0], callbacks[which]]
    require_same(alone(toy, name, case), left_by(toy, case, mine))


@pytest.mark.slow
@pytest.mark.parametrize("on", HOOKS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [*CASES, *SLOW])
def test_every_method_in_every_kind_of_training(toy, alone, name, method, on):
    case = (CASES | SLOW)[name]
    require_same(alone(toy, name, case), left_by(toy, case, watchers(toy, on, method=method)[:1]))


@pytest.fixture(scope="module")
def compilations_alone():
    """How many compilations there are in a training without callbacks, once that is known."""
    return []


@pytest.mark.parametrize("on", HOOKS)
@pytest.mark.parametrize("method", METHODS)
def test_callbacks_cause_no_compilation(toy, compilations_alone, method, on):
    """A recompiled model has kernels for any number of rows, which round differently."""

    def compilations(callbacks):
        made = []

        def backend(graph, inputs):
            made.append(graph)
            return graph.forward

        left_by(toy, Case(change=compiled(backend)), callbacks)
        return len(made)

    if not compilations_alone:
        compilations_alone.append(compilations([]))
    assert compilations(watchers(toy, on, method=method, batch_size=7)[:1]) == compilations_alone[0] > 0


def test_the_comparison_would_find_a_careless_callback(toy, alone):
    class Careless(L.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            torch.rand(1)

    different = left_by(toy, CASES["plain"], [Careless()])
    before = alone(toy, "plain", CASES["plain"])
    assert not same(before["weights"], different["weights"])
    assert not same(before["random"], different["random"])


def state(module):
    """Return everything of a module and of the process that a callback must not change."""
    return {
        "random": (torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()),
        "modes": [one.training for one in module.modules()],
        "asked": [p.requires_grad for p in module.parameters()],
        "grads": [None if p.grad is None else (id(p.grad), p.grad.tolist()) for p in module.parameters()],
        "values": [(id(p), p.data_ptr(), p.tolist()) for p in (*module.parameters(), *module.buffers())],
        "hooks": [[len(v) for k, v in vars(one).items() if k.endswith("_hooks")] for one in module.modules()],
    }


class Spy(L.Callback):
    """Compares the state after the other callbacks of a hook with the state before them; one stands on either side."""

    def __init__(self, before=None):
        self.before, self.compared = before, 0

    def look(self, trainer, pl_module):
        self.seen = state(pl_module)
        if self.before is not None:
            assert self.seen == self.before.seen
            self.compared += 1

    on_validation_epoch_end = on_train_epoch_end = on_train_start = look


@pytest.mark.parametrize("on", HOOKS)
def test_everything_is_as_before_in_the_hook(toy, tmp_path, on):
    class Frozen(L.Callback):
        """Freezes batch norm by hand."""

        def on_validation_epoch_end(self, trainer, pl_module):
            pl_module.model[1].training = True

        def on_train_epoch_end(self, trainer, pl_module):
            pl_module.model[1].training = False

    before = Spy()
    after = Spy(before)
    callbacks = watchers(toy, on, out=tmp_path / "epochs")
    callbacks[-1].sections = lambda ending: []  # drawn after the last hook that is compared
    toy.fit([Frozen(), before, *callbacks, after], **ACCUMULATING)
    # At the start, at the end of two epochs, twice an epoch in validation, and in the sanity check.
    assert after.compared == 1 + 2 + 4 + 1


WHEN = ("on_train_start", "on_validation_epoch_end", "on_train_epoch_end")


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("method", METHODS)
def test_everything_is_as_before_when_it_raises(toy, when, method):
    class Failing(nn.Sequential):
        armed = False

        def forward(self, X):
            if self.armed:
                torch.rand(3)
                np.random.rand()
                self[1].running_mean += 1
                raise RuntimeError("the model does not like this")
            return super().forward(X)

    net = Failing(*toy.network())
    compared = []

    class Arm(L.Callback):
        def arm(self, hook, trainer, pl_module):
            net.armed = hook == when and not trainer.sanity_checking
            self.found = state(pl_module)

        def on_train_start(self, *args):
            self.arm("on_train_start", *args)

        def on_validation_epoch_end(self, *args):
            self.arm("on_validation_epoch_end", *args)

        def on_train_epoch_end(self, *args):
            self.arm("on_train_epoch_end", *args)

        def on_exception(self, trainer, pl_module, exception):
            assert state(pl_module) == self.found
            compared.append(str(exception))

    on = "train" if when == "on_train_epoch_end" else "validation"
    mine = AttributionCallback(
        toy.sequences(5, seed=3),
        n_shuffles=3,
        on=on,
        method=method,
        untrained=when == "on_train_start",
        on_error="raise",
    )
    # Before the first step, when an argument may be the cause, the error names the callback.
    kind = sl.InputError if when == "on_train_start" else RuntimeError
    with pytest.raises(kind, match="does not like this"):
        toy.fit([Arm(), mine], net=net)
    assert len(compared) == 1


@pytest.mark.reliability(
    "errors in the middle of a training",
    "each attribution of a training fails, in the model and after it drew random numbers",
    "weights, gradients and random numbers are those of a training without callbacks, to the last bit",
)
@pytest.mark.parametrize("on", HOOKS)
def test_the_training_goes_on_as_without_when_attributions_fail(toy, alone, on):
    class Failing(nn.Sequential):
        def forward(self, X):
            if not self[0].weight.requires_grad and armed:  # only attribution freezes the parameters
                torch.rand(3)
                np.random.rand()
                self[1].running_mean += 1
                raise RuntimeError("no room")
            return super().forward(X)

    class Arm(L.Callback):
        def on_train_batch_end(self, *args):
            armed.append(True)

    armed = []
    callbacks = [Arm(), *watchers(toy, on)[:2]]
    with pytest.warns(sl.SeqlightWarning, match="has no record of epoch .*, and the training goes on") as warned:
        after = left_by(toy, Case(ACCUMULATING, change=lambda net: Failing(*net)), callbacks)
    require_same(alone(toy, "accumulating", CASES["accumulating"]), after)
    assert sum("no room" in str(one.message) for one in warned) == (4 if on == "validation" else 2)
    assert callbacks[1].record.epoch == 0


# The kinds of training that are run in two processes each time; the plain one is in test_ranks.
IN_TWO = ("averaging before", "bf16-mixed", "manual")


class Left(L.Callback):
    """Saves what a training leaves in this process."""

    def __init__(self, folder):
        self.folder = folder

    def setup(self, trainer, pl_module, stage):
        random.seed(1)  # Python seeds forks anew

    def on_fit_end(self, trainer, pl_module):
        torch.save(left(trainer, pl_module), self.folder / f"rank-{trainer.global_rank}.pt")


def train_in_two(folder, name, callbacks):
    """Train in two forks of this process."""
    from toy_training import data, network, trainer

    folder.mkdir(parents=True)
    case = (CASES | SLOW)[name]

    def make(callbacks, **settings):
        return trainer(folder, [*callbacks, Left(folder)], devices=2, strategy="ddp_fork", **settings)

    module = case.module(case.change(network()))
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(1)
    make([*case.before(), *callbacks, *case.after()], **case.settings).fit(module, case.data(data()))


def run_pairs(out, names):
    from toy_training import sequences

    toy = SimpleNamespace(sequences=sequences)
    for name in names:
        train_in_two(out / name / "alone", name, [])
        first, second = (watchers(toy, on, name=on)[0] for on in HOOKS)
        train_in_two(out / name / "watched", name, [first, second, SeqletCallback(first, threshold=0.3)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in IN_TWO else pytest.mark.slow) for name in [*CASES, *SLOW]]
)
def test_two_processes(tmp_path, name, run_scripts):
    # Not in this process, for forks must come before PyTorch starts threads for gradients.
    run_scripts([__file__, tmp_path, name])
    for rank in (0, 1):
        alone, watched = (
            torch.load(tmp_path / name / which / f"rank-{rank}.pt", weights_only=False)
            for which in ("alone", "watched")
        )
        require_same(alone, watched)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "fixtures"))
    run_pairs(Path(sys.argv[1]), sys.argv[2:])
