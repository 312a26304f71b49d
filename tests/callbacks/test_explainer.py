"""Models that do not take one-hot sequences, and the errors before the first step if something does not fit."""

from __future__ import annotations

import lightning.pytorch as L
import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight_callbacks import AttributionCallback, AttributionReport, LogoCallback, SeqletCallback
from seqlight_callbacks.methods import METHODS
from small_memory import RowHog
from small_memory import _small_memory as _small_memory


class Module(L.LightningModule):
    """A module whose model takes its sequences in one of the ways that are common."""

    def __init__(self, kind, channels=4):
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.conv, self.out = kind, nn.Conv1d(channels, 6, 5, padding=2), nn.Linear(6, 1)
        self.letters = nn.Embedding(4, 6)

    def forward(self, X, control=None):
        X = X["sequence"] if self.kind == "dict" else X
        if self.kind == "ids":
            return self.out(self.letters(X).relu().mean(dim=1))
        hidden = self.conv(X.transpose(1, 2) if self.kind == "rows" else X).relu().mean(dim=2)
        return self.out(hidden if control is None else hidden * control)

    def training_step(self, batch, batch_idx):
        return sum(one.square().sum() for one in self.parameters())

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def with_strand(X):
    """Add a fifth channel for the strand."""
    return torch.cat([X, torch.ones_like(X[:, :1])], dim=1)


def with_two(X):
    """Add channels for N and for the strand, as LegNet does."""
    return torch.cat([X, torch.zeros_like(X[:, :1]), torch.ones_like(X[:, :1])], dim=1)


# By what the model takes: its number of channels, `inputs`, and how it is called by hand.
KINDS = {
    "strand": (5, with_strand, lambda model, X: model(with_strand(X))),
    "two channels": (6, with_two, lambda model, X: model(with_two(X))),
    "rows": (4, lambda X: X.transpose(1, 2), lambda model, X: model(X.transpose(1, 2))),
    "dict": (4, lambda X: {"sequence": X}, lambda model, X: model({"sequence": X})),
    "control": (4, lambda X: (X, X.new_full((len(X), 1), 2.0)), lambda model, X: model(X, 2.0)),
    "as it is": (4, None, lambda model, X: model(X)),
}


class ByHand(nn.Module):
    def __init__(self, model, call):
        super().__init__()
        self.model, self.call = model, call

    def forward(self, X):
        return self.call(self.model, X)


def fit(toy, module, callbacks):
    loader = torch.utils.data.DataLoader(torch.zeros(2, 1), batch_size=2)
    trainer = toy.trainer(callbacks, max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(module, loader, loader)
    return trainer


@pytest.mark.reliability(
    "models that take inputs other than one-hot rows",
    "a fifth or sixth channel, (rows, positions, 4), a dict, a tuple with a control track: `inputs=`",
    "the attributions of a wrapper by hand, of the letters of the probe",
)
@pytest.mark.parametrize("kind", KINDS)
def test_attributions_go_through_inputs(toy, kind):
    channels, inputs, call = KINDS[kind]
    module = Module(kind, channels)
    first = toy.attribution(2, inputs=inputs)
    logos = LogoCallback(examples=(0,))
    trainer = fit(toy, module, [first, SeqletCallback(threshold=0.5), logos])
    assert first.record.attributions.shape == (2, 4, 20)
    assert float(trainer.callback_metrics["attribution/delta"]) < 1e-5
    model = ByHand(module.eval(), call)
    expected = sl.deep_lift_shap(model, first.sequences, references=first.references, device="cpu")
    torch.testing.assert_close(first.record.attributions, expected, atol=1e-7, rtol=1e-5)
    assert expected.abs().max() > 1e-4
    assert len(logos.draw().axes) == 1


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_through_inputs(toy, method):
    module = Module("rows")
    first = toy.attribution(2, n_shuffles=1, method=method, inputs=KINDS["rows"][1])
    fit(toy, module, [first])
    module.kind = "as it is"
    plain = toy.attribution(2, n_shuffles=1, method=method)
    toy.trainer([plain]).validate(module, torch.utils.data.DataLoader(torch.zeros(2, 1)), verbose=False)
    torch.testing.assert_close(first.record.attributions, plain.record.attributions, atol=1e-6, rtol=1e-4)


def test_inputs_by_its_dotted_path_and_with_a_head_and_a_module(toy):
    class Heads(Module):
        def __init__(self):
            super().__init__("none")
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(80, 2))
            self.net.register_forward_hook(lambda net, args, y: {"a": y[:, :1], "b": y[:, 1:]})

    first = toy.attribution(2, n_shuffles=1, module="net", head="b", inputs="torch.square")
    fit(toy, module := Heads(), [first])
    with torch.no_grad():
        expected = module.net(first.sequences.float())["b"].squeeze(1)
    torch.testing.assert_close(first.record.outputs, expected)


@pytest.mark.parametrize("inputs", ["no.such.function", "nothing", 3, "math.pi"])
def test_inputs_that_are_not_a_function(toy, inputs):
    with pytest.raises(sl.InputError, match="AttributionCallback 'attribution': inputs is "):
        toy.attribution(2, n_shuffles=1, inputs=inputs)


def test_integer_letters_have_no_gradient_but_can_be_mutated(toy):
    def numbers(X):
        return X.argmax(dim=1)

    with pytest.raises(
        sl.InputError, match=r"without a gradient with respect to the sequences, such as integers.*method='ism'"
    ):
        fit(toy, Module("ids"), [toy.attribution(2, n_shuffles=1, inputs=numbers)])
    first = toy.attribution(2, n_shuffles=1, inputs=numbers, method="ism")
    fit(toy, Module("ids"), [first])
    assert first.record.attributions.abs().max() > 1e-5


def fails(X):
    return X.nothing


WRONG = {
    "channels": (
        Module("", 5),
        {},
        ["(2, 4, 20)", "Module, as `module` is None", "to have 5 channels", "`inputs`"],
    ),
    "inputs": (
        Module("", 5),
        {"inputs": KINDS["rows"][1]},
        ["(2, 4, 20)", "`inputs` turned into (2, 20, 4)", "5 channels"],
    ),
    "fails": (Module(""), {"inputs": fails}, ["(2, 4, 20)", "`inputs`, fails", "no attribute 'nothing'"]),
    "module": (
        Module(""),
        {"module": "out"},
        ["(2, 4, 20)", "`module` 'out'", "RuntimeError", "cannot be multiplied"],
    ),
    "target": (Module(""), {"target": 3}, ["(2, 4, 20)", "target is 3 and the model has 1 output"]),
    "function": (Module(""), {"target": fails}, ["no attribute 'nothing'", "or look into `target`, fails."]),
    "head": (Module(""), {"head": "counts"}, ["head is 'counts', and the model returns one tensor of shape"]),
    "rows": (
        Module(""),
        {"inputs": lambda X: X[:1]},
        ["`inputs` turned into (1, 4, 20)", "2 rows into an output of shape (1, 1)"],
    ),
}


@pytest.mark.reliability(
    "callbacks in other trainings",
    "sequences, `module`, `inputs`, `head` or `target` that do not fit the model",
    "found before the first step, with the name of the callback and the shapes that met",
)
@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_found_before_the_first_step(toy, case):
    module, settings, words = WRONG[case]
    before = {name: one.clone() for name, one in module.state_dict().items()}
    callback = toy.attribution(2, n_shuffles=1, name="mine", **settings)
    with pytest.raises(sl.InputError) as caught:
        fit(toy, module, [callback])
    message = str(caught.value)
    assert message.startswith("AttributionCallback 'mine' gives its `sequences` of shape")
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    assert all(one.training for one in module.modules())
    assert all(one.requires_grad for one in module.parameters())


def test_validation_alone_names_the_callback_too(toy):
    loader = torch.utils.data.DataLoader(torch.zeros(2, 1))
    with pytest.raises(sl.InputError, match=r"'attribution' gives its `sequences` of shape \(2, 4, 20\).*5 channels"):
        toy.trainer([toy.attribution(2, n_shuffles=1)]).validate(Module("", 5), loader)


def test_a_fast_dev_run_finds_it_too(toy):
    callback = toy.attribution(2, n_shuffles=1)
    loader = torch.utils.data.DataLoader(torch.zeros(2, 1))
    with pytest.raises(sl.InputError, match="to have 5 channels"):
        toy.trainer([callback], fast_dev_run=True).fit(Module("", 5), *[loader] * 2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda toy: AttributionCallback("no.fa", name="mine"), ["AttributionCallback 'mine'", "sequences", "no.fa"]),
        (
            lambda toy: AttributionCallback(toy.sequences(2), window=(9, 99), name="mine"),
            ["AttributionCallback 'mine'", "window is 9 to 99"],
        ),
        (
            lambda toy: AttributionCallback(toy.sequences(2).float() / 3, name="mine"),
            ["AttributionCallback 'mine'", "sequences"],
        ),
        (
            lambda toy: SeqletCallback(toy.attribution(2, n_shuffles=1), known="no.bed", name="mine"),
            ["SeqletCallback 'mine'", "known", "no.bed"],
        ),
        (lambda toy: SeqletCallback(threshold=2, name="mine"), ["SeqletCallback 'mine'", "threshold"]),
        (
            lambda toy: LogoCallback(toy.attribution(2, n_shuffles=1), examples=[5], name="mine"),
            ["LogoCallback 'mine'", "examples"],
        ),
    ],
)
def test_errors_of_arguments_name_the_callback(toy, make, words):
    with pytest.raises(sl.InputError) as caught:
        make(toy)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_repr_describes_the_callback(toy, tmp_path):
    first = AttributionCallback(
        toy.sequences(2), n_shuffles=3, module="net", head="counts", inputs=with_strand, every_n_validations=4, out="o"
    )
    assert repr(first) == (
        "<AttributionCallback 'attribution': deep_lift_shap of 2 sequences of 20 positions against 3 references each, "
        "target 0 of head 'counts' of module 'net', through with_strand, at one validation in 4, into 'o'>"
    )
    ism = AttributionCallback(toy.sequences(2), method="ism", on="train", every_n_epochs=2, name="ism")
    assert (
        repr(ism) == "<AttributionCallback 'ism': ism of 2 sequences of 20 positions, target 0, after one epoch in 2>"
    )
    assert repr(SeqletCallback("ism", out="s")) == (
        "<SeqletCallback 'seqlets': seqlets at p < 0.01 in what AttributionCallback 'ism' finds, into 's'>"
    )
    assert repr(LogoCallback()) == (
        "<LogoCallback 'logos': logos of the sequences 0, 1, 2 of the only AttributionCallback, in every logger>"
    )
    assert repr(AttributionReport(ism)) == (
        "<AttributionReport 'report': a page on AttributionCallback 'ism', 'report.html', when the training ends>"
    )


@pytest.mark.reliability(
    "accelerators",
    "callbacks in a training on a GPU that computes convolutions in TF32",
    "attributions in float32 by every method; the training goes on in TF32",
)
@pytest.mark.parametrize("method", METHODS)
def test_records_are_in_float32_on_an_accelerator(pretend, method):
    def explain(device, **more):
        callback = AttributionCallback(
            sl.random_one_hot((3, 4, 20), random_state=0), method=method, n_shuffles=3, **more
        )
        explainer, module = callback._explainer, Module("as it is").to(device)
        model = explainer.select_model(module)
        return explainer._run(model, [0, 2], callback.references[[0, 2]], torch.device(device)).attributions

    expected = explain("cpu")
    with pretend.switched(tf32=True, late_copies=True):
        there, rounded = explain("pretend:1"), explain("pretend:1", precision="tf32")
        assert torch.backends.cudnn.allow_tf32
    scale = expected.abs().max()
    assert (there - expected).abs().max() < 1e-5 * scale < 1e-4 * scale < (rounded - expected).abs().max()
    assert "TF32" in AttributionCallback(sl.random_one_hot((1, 4, 20)), precision="tf32").describe()


@pytest.mark.reliability(
    "accelerators",
    "a callback for whose batch_size the training leaves too little memory",
    "the same record in smaller batches, and a warning that names the size that worked",
)
@pytest.mark.parametrize("method", METHODS)
def test_records_are_the_same_where_memory_runs_out(method, toy, small_memory):
    def record(module=None, **settings):
        callback = toy.attribution(method=method, **settings)
        toy.fit([callback], toy.network() if module is None else module)
        return callback.record

    expected, memory = record(), small_memory(2)  # as many as a training step has
    with pytest.warns(sl.MemoryWarning, match="at a time were used, with the same results"):
        found = record(RowHog(toy.network(), memory), batch_size=64)
    for name in ("attributions", "outputs"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-6, rtol=1e-4)


def test_a_callback_learns_how_much_fits(toy, small_memory):
    def sizes(module, **settings):
        memory.asked.clear()
        toy.fit([toy.attribution(10, n_shuffles=12, **settings)], module)
        return list(memory.asked)

    memory = small_memory(10**6)
    module = RowHog(toy.network(), memory)
    assert max(sizes(module, batch_size=24)) == 24
    assert max(sizes(module)) == 8 * 12  # of the sequences that are left after the first two


@pytest.mark.reliability(
    "accelerators", "callbacks that are given sequences, references and targets on a GPU", "the records of the CPU"
)
@pytest.mark.parametrize("method", METHODS)
def test_what_a_callback_is_given_may_lie_anywhere(pretend, method):
    X = sl.random_one_hot((3, 4, 20), random_state=0)

    def explain(place, other):
        given = {"references": sl.dinucleotide_shuffle(X, n=2, random_state=0).to(other), "compare_with": X.to(place)}
        callback = AttributionCallback(X.to(place), torch.tensor([0, 0, 0]).to(other), method=method, **given)
        model = callback._explainer.select_model(Module("as it is").to(place))
        return callback._explainer._run(model, [0, 2], callback.references[[0, 2]], torch.device(place))

    expected = explain("cpu", "cpu")
    with pretend.switched(late_copies=True):
        for places in (("pretend:0", "pretend:1"), ("pretend:1", "cpu"), ("cpu", "pretend:0")):
            found = explain(*places)
            torch.testing.assert_close(found.attributions, expected.attributions, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(found.outputs, expected.outputs)
