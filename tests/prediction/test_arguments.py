"""The arguments that every call of a model shares."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import InputError
from seqlight.prediction.arguments import choose_device, require_module

CPU = torch.device("cpu")


def test_devices_that_can_be_chosen():
    assert choose_device("cpu") == choose_device(CPU) == CPU
    assert choose_device(None).type in {"cuda", "mps", "cpu"}
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"device is 'cuda': expected one of this machine, such as 'cpu' \("):
            choose_device("cuda")
    with pytest.raises(InputError, match=r"device is 'meta', which holds no data: expected one that computes"):
        choose_device("meta")
    with pytest.raises(InputError, match=r"device is 'gpu': expected one of this machine") as caught:
        choose_device("gpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("cuda", "mps", "best"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_the_default_device_is_the_best_one_available(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device(None) == torch.device(best, 1 if cuda else None)


def test_a_function_is_refused_as_a_model():
    with pytest.raises(InputError, match=r"model is a function: expected a torch\.nn\.Module; wrap a function in one"):
        require_module(lambda X: X)


@pytest.mark.reliability(
    "models of other formats", "lazy layers that have met no input; an ExportedProgram", "an error that says what to do"
)
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.LazyConv1d(8, 5)), r"'0\.weight' of the model has no size yet.*call it once"),
        (nn.Sequential(nn.Conv1d(4, 8, 5), nn.LazyBatchNorm1d()), r"'1\.weight' of the model has no size yet"),
        (torch.export.export(nn.Linear(40, 1), (torch.zeros(2, 4, 40),)), r"ExportedProgram.*pass its \.module\(\)"),
    ],
    ids=["lazy convolution", "lazy normalisation", "exported program"],
)
@pytest.mark.parametrize("find", [sl.predict, sl.deep_lift_shap, sl.saturation_mutagenesis])
def test_lazy_models_and_exported_programs_are_refused(find, model, message):
    with pytest.raises(sl.InputError, match=message):
        find(model, sl.random_one_hot((2, 4, 40), random_state=0).float(), device="cpu")
