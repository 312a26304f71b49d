"""Which peer adds up on which spelling of which operation, and what is suspected where it does not; in float64."""

import warnings
from functools import cache

import pandas as pd
import pytest
import torch

import seqlight as sl
from seqlight.studies.implementations.captum_deeplift import CAPTUM_DEEPLIFT
from seqlight.studies.implementations.deep_lift_shap import SEQLIGHT
from seqlight.studies.implementations.implementation import INPUTS, Implementation
from seqlight.studies.implementations.shap import SHAP
from seqlight.studies.implementations.tangermeme import TANGERMEME
from spelled_models import SPELLED, make_spelled

# A column each for tangermeme, Captum and shap: "-" if contributions add up and nothing is suspected, "?" if they add
# up by chance; otherwise the first suspect, with "!" if the peer raises an error. shap checks additivity itself, and so
# raises wherever it misses more than 0.01. The path of a module is that below `parts`.
EXPECTED = """
linear                 | -                          | -                          | -
relu                   | -                          | -                          | -
relu conv relu         | -                          | -                          | -
relu in place          | ! ReLU in 0                | -                          | ! ReLU in 0
relu twice             | -                          | ! ReLU in 0.activation     | ! ReLU in 0.activation
pool twice             | -                          | ! MaxPool1d in 0.activation | ! MaxPool1d in 0.activation
relu function          | relu in 0                  | relu in 0                  | ! relu in 0
relu torch             | relu in 0                  | relu in 0                  | ! relu in 0
relu method            | relu in 0                  | relu in 0                  | ! relu in 0
relu function in place | relu in 1                  | relu in 1                  | ! relu in 1
relu then in place     | ! mul in 1                 | ! mul in 1                 | ! mul in 1
relu clamp             | clamp in 0                 | clamp in 0                 | ! clamp in 0
relu where             | where in 0                 | where in 0                 | ! where in 0
relu in forward        | relu in 0                  | relu in 0                  | ! relu in 0
relu subclass          | ! OwnReLU in 0             | OwnReLU in 0               | ! OwnReLU in 0
relu residual          | -                          | ReLU in 0.part             | -
relu conv residual     | -                          | -                          | -
relu pool              | -                          | MaxPool1d in 1             | -
relu in place pool     | ! ReLU in 0                | MaxPool1d in 1             | ! ReLU in 0
relu identity pool     | -                          | MaxPool1d in 3             | -
relu times one pool    | -                          | -                          | -
relu sigmoid           | -                          | Sigmoid in 1               | -
sigmoid pool           | -                          | MaxPool1d in 1             | -
branches               | -                          | -                          | -
pool                   | -                          | -                          | -
pool conv pool         | -                          | -                          | -
pool overlap           | -                          | MaxPool1d in 0             | ! MaxPool1d in 0
pool dilated           | -                          | ! MaxPool1d in 0           | ! MaxPool1d in 0
pool padded            | -                          | -                          | -
pool function          | max_pool1d in 0            | max_pool1d in 0            | ! max_pool1d in 0
pool adaptive          | AdaptiveMaxPool1d in 0     | AdaptiveMaxPool1d in 0     | ! AdaptiveMaxPool1d in 0
pool global            | amax in 0                  | amax in 0                  | ! amax in 0
pool average           | -                          | -                          | -
pool 2d                | -                          | -                          | -
gelu                   | -                          | GELU in 0                  | -
gelu function          | gelu in 0                  | gelu in 0                  | ! gelu in 0
silu                   | -                          | SiLU in 0                  | ! SiLU in 0
selu                   | -                          | SELU in 0                  | -
elu                    | -                          | -                          | -
leaky relu             | -                          | -                          | -
prelu                  | -                          | PReLU in 0                 | ! PReLU in 0
hardswish              | Hardswish in 0             | Hardswish in 0             | ! Hardswish in 0
softplus               | -                          | -                          | -
sigmoid                | -                          | -                          | -
tanh                   | -                          | -                          | -
exp                    | exp in 0                   | exp in 0                   | ! exp in 0
power                  | pow in 0                   | pow in 0                   | ! pow in 0
batch norm             | -                          | -                          | -
layer norm             | -                          | LayerNorm in 0.part        | ! LayerNorm in 0.part
group norm             | GroupNorm in 0             | GroupNorm in 0             | ! GroupNorm in 0
softmax                | -                          | ?                          | ?
softmax of positions   | -                          | Softmax in 2               | Softmax in 2
softmax at the end     | -                          | Softmax in 1               | ?
log softmax            | LogSoftmax in 0            | LogSoftmax in 0            | ! LogSoftmax in 0
glu                    | -                          | GLU in 0                   | ! GLU in 0
gate                   | mul in 0                   | mul in 0                   | ! mul in 0
square of itself       | mul in 0                   | mul in 0                   | ! mul in 0
attention pooling      | mul in 0                   | mul in 0                   | ! mul in 0
self attention |
    MultiheadAttention in 0.part.self_attn |
    MultiheadAttention in 0.part.self_attn |
    ! MultiheadAttention in 0.part.self_attn
lstm                   | LSTM in 0.lstm             | LSTM in 0.lstm             | LSTM in 0.lstm
"""
X = sl.random_one_hot((3, 4, 16), random_state=0).double()
REFERENCES = sl.dinucleotide_shuffle(X, n=2, random_state=0).double()

# One of each kind; the others are slow tests.
QUICK = (
    "linear",
    "relu in place",
    "relu twice",
    "relu function",
    "relu then in place",
    "relu subclass",
    "relu residual",
    "relu pool",
    "relu identity pool",
    "relu times one pool",
    "branches",
    "pool overlap",
    "pool dilated",
    "gelu",
    "softmax at the end",
    "gate",
    "self attention",
)
PEERS = {"tangermeme": TANGERMEME, "Captum": CAPTUM_DEEPLIFT, "shap": SHAP}


def read_expected() -> dict[tuple[str, str], str]:
    lines = EXPECTED.strip().replace("|\n", "|").splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {(name, peer): cell for name, *cells in rows for peer, cell in zip(PEERS, cells, strict=True)}


@cache
def operations_of(name: str) -> pd.DataFrame:
    table = sl.audit(make_spelled(name), X[:1].float(), references=REFERENCES[:1, :1].float(), device="cpu").table
    table.attrs[INPUTS] = (X[:2],)
    return table


@cache
def output_differences(name: str) -> torch.Tensor:
    model = make_spelled(name)
    with torch.no_grad():
        return model(X)[:, :1] - torch.stack([model(one)[:, 0] for one in REFERENCES.unbind(1)], dim=1)


def find_miss(peer: Implementation, name: str) -> float:
    """Return the share of the output difference that is missed; infinity if there is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = peer.contributions(make_spelled(name), X, REFERENCES, (), 0, 0)
        except (RuntimeError, ValueError, KeyError, AssertionError):
            return float("inf")
    expected = output_differences(name)
    return float((found.sum(dim=2) - expected).abs().mean() / expected.abs().mean())


def check_cell(peer_name: str, name: str) -> None:
    peer = PEERS[peer_name]
    miss, found = find_miss(peer, name), peer.suspects(make_spelled(name), operations_of(name))
    first = f"{found[0].operation} in {found[0].module.removeprefix('parts.')}" if found else ""
    right = "?" if found else "-"
    wrong = f"! {first}" if miss == float("inf") else first
    assert (right if miss < 1e-9 else wrong) == read_expected()[name, peer_name]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in SPELLED]
)
@pytest.mark.parametrize("peer", ["tangermeme", "Captum"])
@pytest.mark.reliability(
    "studies",
    "a model on which an implementation misses a part of the output difference",
    "the operation to blame, its module, why, and what to do",
)
def test_what_misses_has_a_suspect(peer, name):
    check_cell(peer, name)


@pytest.mark.slow  # importing shap takes seconds
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of its plots, at import
@pytest.mark.parametrize("name", SPELLED)
def test_shap(name):
    check_cell("shap", name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPELLED)
def test_ours_adds_up(name):
    assert find_miss(SEQLIGHT, name) < 1e-9


def test_every_spelling_is_in_the_table():
    assert [name for name, peer in read_expected() if peer == "shap"] == list(SPELLED)
    assert not any(cell == "" for cell in read_expected().values())


def test_suspects_leave_the_model_as_it_was():
    model = make_spelled("relu conv relu")
    before = {name: sorted(vars(one)) for name, one in model.named_modules()}
    for peer in (TANGERMEME, CAPTUM_DEEPLIFT):
        peer.suspects(model, operations_of("relu conv relu"))
    assert {name: sorted(vars(one)) for name, one in model.named_modules()} == before
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())
    assert all(one.grad is None for one in model.parameters())
