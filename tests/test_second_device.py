"""A model on the second device is computed with there, and nothing is put on the current one."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight import metrics

DEVICE = "pretend:1"
X = sl.random_one_hot((2, 4, 40), random_state=0)
REFERENCES = sl.dinucleotide_shuffle(X, n=1, random_state=0)


class Network(nn.Module):
    """Has an operation of each kind of rule: rescaled, pooled, normalised, attended to, divided and integrated."""

    def __init__(self):
        super().__init__()
        self.stem, self.norms = nn.Conv1d(4, 8, 9, padding=4), nn.ModuleList([nn.BatchNorm1d(8), nn.LayerNorm(8)])
        self.mix, self.lstm, self.head = nn.Linear(8, 24), nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x):
        h = self.norms[1](nn.functional.max_pool1d(self.norms[0](self.stem(x)).relu(), 10).mT)
        q, k, v = self.mix(h).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        h = h + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        h = nn.functional.gelu(self.lstm(h * h.softmax(-1))[0])
        return self.head(h.mean(1) / (1 + h.std(1)))


CALLS = {
    "predict": lambda model: sl.predict(model, X),
    "predict in float64": lambda model: sl.predict(model, X, dtype="float64"),
    "deep_lift_shap": lambda model: sl.deep_lift_shap(model, X, n_shuffles=1, random_state=0),
    "hypothetical": lambda model: sl.deep_lift_shap(model, X, references=REFERENCES, hypothetical=True),
    "raw_outputs": lambda model: sl.deep_lift_shap(model, X, references=REFERENCES, raw_outputs=True),
    "attribute": lambda model: sl.attribute(model, X, references=REFERENCES).attributions,
    "saturation_mutagenesis": lambda model: sl.saturation_mutagenesis(model, X, target=0, end=4),
    "input_x_gradient": lambda model: sl.input_x_gradient(model, X).attributions,
    "integrated_gradients": lambda model: sl.integrated_gradients(model, X, references=REFERENCES).attributions,
    "Captum's call": lambda model: sl.DeepLiftShap(model).attribute(
        X.float().to(DEVICE), REFERENCES[0].float().to(DEVICE), target=0
    ),
    "audit": lambda model: sl.audit(model, X, references=REFERENCES),
    "faithfulness": lambda model: metrics.faithfulness_area(model, X.to(DEVICE), X.float().to(DEVICE), n_shuffles=1),
}


@pytest.mark.reliability(
    "accelerators",
    "every public call with a model on the second device, while the first is the current one",
    "nothing is allocated on the first, and the first is still the current one",
)
@pytest.mark.filterwarnings("ignore::seqlight.IntegratedWarning")
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_put_on_the_current_device(pretend, name):
    torch.manual_seed(0)
    model = Network().eval().to(DEVICE)
    with pretend.switched(available=True, late_copies=True):
        torch.pretend.reset_peak_memory_stats(0)
        before = torch.pretend.max_memory_allocated(0)
        torch.pretend.reset_peak_memory_stats(1)
        there = torch.pretend.memory_allocated(1)
        CALLS[name](model)
        assert torch.pretend.max_memory_allocated(0) == before
        assert torch.pretend.max_memory_allocated(1) > there
        assert torch.pretend.current_device() == 0
