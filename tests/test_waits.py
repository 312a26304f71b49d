"""How often a call waits for a device: once a block, and so many times more for the whole call."""

import pytest
import torch
from torch import nn

import seqlight as sl

pytestmark = pytest.mark.usefixtures("pretend")

X = sl.random_one_hot((32, 4, 24), random_state=0)
REFERENCES = sl.dinucleotide_shuffle(X, n=4, random_state=0)
DRAWN = {"n_shuffles": 4, "random_state": 0, "batch_size": 4, "device": "pretend"}
GIVEN = {"batch_size": 4, "device": "pretend"}
PLACE = "pretend"


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Conv1d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 3)
    ).to(PLACE)  # fmt: skip


ATTRIBUTIONS = {
    "deep_lift_shap": lambda m, n: sl.deep_lift_shap(m, X[:n], **DRAWN),
    "deep_lift_shap, hypothetical": lambda m, n: sl.deep_lift_shap(m, X[:n], hypothetical=True, **DRAWN),
    "deep_lift_shap, references returned": lambda m, n: sl.deep_lift_shap(m, X[:n], return_references=True, **DRAWN),
    "deep_lift_shap, references given": lambda m, n: sl.deep_lift_shap(m, X[:n], references=REFERENCES[:n], **GIVEN),
    "deep_lift_shap, multipliers": lambda m, n: sl.deep_lift_shap(m, X[:n], raw_outputs=True, **DRAWN),
    "attribute": lambda m, n: sl.attribute(m, X[:n], **DRAWN),
    "attribute, all on the device": lambda m, n: sl.attribute(
        m, X[:n].to(PLACE), references=REFERENCES[:n].to(PLACE), **GIVEN
    ),
    "attribute, several targets": lambda m, n: sl.attribute(m, X[:n], target=[0, torch.arange(n) % 3], **DRAWN),
    "attribute, multipliers": lambda m, n: sl.attribute(m, X[:n].float(), multipliers=True, **DRAWN),
    "attribute, as many references as needed": lambda m, n: sl.attribute(
        m, X[:n].long(), **DRAWN | {"n_shuffles": "auto", "max_shuffles": 4, "tolerance": 1e-9, "batch_size": 4}
    ),
}
CALLS = ATTRIBUTIONS | {
    "predict": lambda m, n: sl.predict(m, X[:n], device="pretend", batch_size=1),
    "input_x_gradient": lambda m, n: sl.input_x_gradient(m, X[:n], device="pretend", batch_size=1),
    "saturation_mutagenesis": lambda m, n: sl.saturation_mutagenesis(
        m, X[:n], target=0, device="pretend", batch_size=72
    ),
}


class Transformer(nn.Module):
    """Attention with a mask, layer norm, gelu, softmax, and max pooling."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.pool, self.norm = nn.Conv1d(4, 8, 5), nn.MaxPool1d(2), nn.LayerNorm(8)
        self.mix, self.head = nn.Linear(8, 24), nn.Linear(8, 3)

    def forward(self, x):
        h = self.norm(self.pool(nn.functional.gelu(self.stem(x))).mT)
        q, k, v = self.mix(h).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        h = h + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        return self.head((h * h.softmax(1)).sum(1))


def counts_of(pretend, call, model, n):
    with pretend.counted() as counts:
        call(model, n)
    return counts


@pytest.mark.reliability(
    "accelerators",
    "any number of sequences, attributed or predicted a block at a time, whatever is asked for",
    "the CPU waits for the device once a block, and never for references or multipliers that nobody asked for",
)
@pytest.mark.filterwarnings("ignore::seqlight.errors.SeqlightWarning")
@pytest.mark.parametrize("name", CALLS)
def test_there_is_one_wait_a_block(pretend, name):
    model = cnn()
    few, some, many = (counts_of(pretend, CALLS[name], model, n) for n in (8, 16, 32))
    assert some.launches - few.launches >= 8  # so blocks are counted
    for more, fewer, blocks in ((some, few, 8), (many, some, 16)):
        assert more.waits - fewer.waits <= blocks, (more.awaited, fewer.awaited)
        assert more.copies_to_host - fewer.copies_to_host <= blocks


@pytest.mark.reliability(
    "accelerators",
    "a block that is launched while the results of the one before are on their way",
    "the activations of one block at most are in memory",
)
def test_two_blocks_in_flight_take_the_memory_of_one(pretend):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(4, 16, 9), nn.ReLU(), nn.Conv1d(16, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(224, 3)
    ).to(PLACE)  # fmt: skip
    peaks = []
    for n in (1, 1, 6):  # what is cached at first stays
        torch.pretend.reset_peak_memory_stats()
        before = torch.pretend.memory_allocated()
        sl.attribute(model, X[:n], **DRAWN | {"n_shuffles": 20, "batch_size": 20})
        peaks.append(torch.pretend.max_memory_allocated() - before)
    assert peaks[2] <= 1.2 * peaks[1], peaks


@pytest.mark.reliability(
    "accelerators", "models with max pooling, attention, normalisation and softmax", "no operation waits for the device"
)
def test_rules_do_not_wait(pretend):
    model = Transformer().to(PLACE)
    few, many = (counts_of(pretend, CALLS["deep_lift_shap"], model, n) for n in (8, 16))
    assert many.waits - few.waits <= 8, (many.awaited, few.awaited)


@pytest.mark.reliability(
    "accelerators", "a run of attributions or predictions on a device", "the CPU waits for the device once a batch"
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("module", ["DeepLiftShapModule", "PredictModule"])
def test_a_run_waits_once_a_batch(pretend, tmp_path, module):
    from lightning.pytorch.strategies import SingleDeviceStrategy

    import seqlight.lit
    from pretend_device import trainers

    trainers.register()
    settings = {"n_shuffles": 4, "batch_size": 4} if module == "DeepLiftShapModule" else {}
    model, where = cnn(), {"accelerator": "pretend", "devices": 1, "batch_size": 1, "workers": 0, "progress": False}

    def run(model, n):
        job = getattr(seqlight.lit, module)(model, **settings)
        sl.run(job, X[:n], out=tmp_path / str(n), strategy=SingleDeviceStrategy("pretend:0"), **where)

    run(model, 1)  # the weights are digested once
    few, many = (counts_of(pretend, run, model, n) for n in (4, 12))
    assert many.waits - few.waits <= 8, (many.awaited, few.awaited)
    assert many.copies_to_host - few.copies_to_host <= 8
    assert many.launches - few.launches >= 8


@pytest.mark.filterwarnings("ignore::seqlight.errors.SeqlightWarning")
@pytest.mark.parametrize("switches", [{"late_copies": True}, {"no_float64": True}], ids=lambda one: next(iter(one)))
@pytest.mark.parametrize("name", ATTRIBUTIONS)
def test_results_are_those_of_the_cpu(pretend, name, switches, monkeypatch):
    model = cnn()
    with pretend.switched(available=True, **switches):
        found = ATTRIBUTIONS[name](model, 6)
    monkeypatch.setitem(DRAWN, "device", "cpu")
    monkeypatch.setitem(GIVEN, "device", "cpu")
    wanted = ATTRIBUTIONS[name](model.cpu(), 6)
    if isinstance(found, sl.Explanation):
        found, wanted = (
            [one for one in vars(result).values() if isinstance(one, torch.Tensor)] for result in (found, wanted)
        )
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
