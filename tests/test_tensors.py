"""Tensors of other kinds than dense real numbers, in every function that takes tensors."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import seqlight as sl
from seqlight.datasets import ArrayDataset

X = sl.random_one_hot((3, 4, 30), random_state=0)
TRACK = torch.linspace(-1, 1, 90).reshape(3, 30)
SETTINGS = {"n_shuffles": 2, "random_state": 0, "device": "cpu"}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv1d(4, 2, 5), nn.ReLU(), nn.Flatten(), nn.Linear(52, 2))

    def forward(self, X, more=None):
        y = self.layers(X)
        return y if more is None else y + more.sum(1, keepdim=True)


MODEL = Model()
OTHERS = {
    "on the meta device": lambda x: x.to("meta"),
    "sparse": lambda x: x.float().to_sparse(),
    "complex": lambda x: x.to(torch.complex64),
    "quantised": lambda x: torch.quantize_per_tensor(x.float(), 0.1, 0, torch.quint8),
    "nested": lambda x: torch.nested.nested_tensor(list(x.float())),
    "jagged": lambda x: torch.nested.nested_tensor(list(x.float()), layout=torch.jagged),
    "unfinished": lambda x: x.to(torch.uint16),
    "of eight bits": lambda x: x.to(torch.float8_e4m3fn),
}
# By function: the name in the error, a tensor, and a call that takes it.
TAKE = {
    "predict": ("X", X, lambda x: sl.predict(MODEL, x, device="cpu")),
    "predict, args": (r"args\[0\]", TRACK, lambda x: sl.predict(MODEL, X, (x,), device="cpu")),
    "a DataLoader": ("a batch of X", X, lambda x: sl.predict(MODEL, DataLoader([x], None), device="cpu")),
    "deep_lift_shap": ("X", X, lambda x: sl.deep_lift_shap(MODEL, x, **SETTINGS)),
    "deep_lift_shap, args": (r"args\[0\]", TRACK, lambda x: sl.deep_lift_shap(MODEL, X, (x,), **SETTINGS)),
    "references": ("references", X.unsqueeze(1), lambda x: sl.deep_lift_shap(MODEL, X, references=x, device="cpu")),
    "targets": ("target", torch.tensor([0, 1, 0]), lambda x: sl.deep_lift_shap(MODEL, X, target=x, **SETTINGS)),
    "integrated_gradients": ("X", X, lambda x: sl.integrated_gradients(MODEL, x, n_steps=2, **SETTINGS).attributions),
    "input_x_gradient": ("X", X, lambda x: sl.input_x_gradient(MODEL, x, device="cpu").attributions),
    "saturation_mutagenesis": ("X", X, lambda x: sl.saturation_mutagenesis(MODEL, x, device="cpu")),
    "DeepLift": ("inputs", X.float(), lambda x: sl.DeepLift(MODEL).attribute(x, target=0)),
    "baselines": ("baselines", X.float(), lambda x: sl.DeepLift(MODEL).attribute(X.float(), x, target=0)),
    "audit": ("X", X, lambda x: sl.audit(MODEL, x, device="cpu")),
    "substitute": ("X", X, lambda x: sl.substitute(x, "ACGT")),
    "shuffle": ("X", X, lambda x: sl.shuffle(x, random_state=0)),
    "probs": ("probs", torch.full((3, 4), 0.25), lambda x: sl.random_one_hot((3, 4, 8), probs=x)),
    "recursive_seqlets": ("`X`", TRACK, sl.recursive_seqlets),
    "plot_logo": ("`X_attr`", TRACK[:, :4], lambda x: sl.plot_logo(x)),
    "ArrayDataset": ("X", X, ArrayDataset),
    "motifs": ("motif 'a'", torch.eye(4), lambda x: sl.write_meme("a.meme", {"a": x})),
}  # fmt: skip


# These convert to float64 first.
MADE_FLOAT64 = ("recursive_seqlets", "plot_logo", "targets", "probs", "motifs")
PAIRS = [
    (what, kind)
    for what in TAKE
    for kind in OTHERS
    if not (kind in ("nested", "jagged") and what == "targets")
    and not (kind in ("unfinished", "of eight bits") and what in MADE_FLOAT64)
]


@pytest.mark.reliability(
    "tensors of other kinds",
    "tensors on the meta device, sparse, complex, quantised, nested, or of uint16 and float8",
    "an error that says what to do",
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's own, of what is nested or quantised
@pytest.mark.parametrize(("what", "kind"), PAIRS)
def test_tensors_of_other_kinds_are_refused_by_name(what, kind, tmp_path, monkeypatch):
    name, tensor, take = TAKE[what]
    monkeypatch.chdir(tmp_path)
    other = OTHERS[kind](tensor)
    with pytest.raises(sl.InputError, match=name) as caught:
        take(other)
    assert "\n" not in str(caught.value)


@pytest.mark.reliability(
    "tensors of other kinds", "sequences that ask for a gradient", "results that become NumPy arrays"
)
@pytest.mark.parametrize("kind", ["gradient", "inference"])
@pytest.mark.parametrize(
    "what",
    [one for one in TAKE if one.startswith(("predict", "deep", "ref", "integrated", "input", "sat", "DeepL", "base"))],
)
def test_results_are_detached_and_no_inference_tensors(what, kind):
    _, tensor, take = TAKE[what]
    if kind == "gradient":
        given = tensor.float().requires_grad_()
    else:
        with torch.inference_mode():
            given = tensor.clone()
    found, wanted = take(given), take(tensor)
    assert not found.requires_grad
    assert not found.is_inference()
    assert (found.numpy() == wanted.numpy()).all()
