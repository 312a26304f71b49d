"""The arguments that every call of a model shares."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.errors import InputError
from seqlight.prediction.arguments import choose_device, require_module

CPU = torch.device("cpu")


@pytest.mark.cpu
def test_devices_that_can_be_chosen():
    assert choose_device("cpu") == choose_device(CPU) == CPU
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else CPU
    assert choose_device(None).type == found.type
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"device is 'cuda': expected one of this machine, such as 'cpu' \("):
            choose_device("cuda")
    with pytest.raises(InputError, match=r"device is 'meta', which holds no data: expected one that computes"):
        choose_device("meta")
    with pytest.raises(InputError, match=r"device is 'gpu': expected one of this machine") as caught:
        choose_device("gpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.reliability("accelerators", "an accelerator that is neither CUDA nor MPS", "it is used, the current one")
def test_the_default_device_is_the_current_accelerator(pretend, index):
    with pretend.switched(available=True), torch.accelerator.device_index(index):
        assert choose_device(None) == torch.device("pretend", index)
    with pretend.switched(available=False):
        assert choose_device(None) == CPU


@pytest.mark.reliability(
    "accelerators", "a model on the second GPU while the first is current", "it runs where it is, without being asked"
)
def test_a_model_runs_where_it_lies(pretend):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).to("pretend:1")
    assert choose_device(None, model) == torch.device("pretend:1")
    assert choose_device("cpu", model) == CPU
    with pretend.switched(available=True):
        assert choose_device(None, model) == torch.device("pretend:1")
        assert choose_device(None, nn.Linear(2, 2)) == torch.device("pretend:0")
    model[1].cpu()
    assert choose_device(None, model) == torch.device("pretend:1")


@pytest.mark.reliability(
    "accelerators", "a model spread over two GPUs", "an error that names both; on the one that is passed it runs whole"
)
def test_a_model_on_several_accelerators_is_refused(pretend):
    model = nn.Sequential(nn.Flatten(), nn.Linear(40, 3).to("pretend:1"), nn.Linear(3, 1).to("pretend:0"))
    X = sl.random_one_hot((2, 4, 10), random_state=0)
    for function in (sl.predict, sl.deep_lift_shap, sl.saturation_mutagenesis):
        with pytest.raises(InputError, match="lies on pretend:0 and pretend:1: expected a model on one device"):
            function(model, X)
    there = sl.deep_lift_shap(model, X, random_state=0, device="pretend:1")
    assert {one.device.index for one in model.parameters()} == {0, 1}
    torch.testing.assert_close(there, sl.deep_lift_shap(model, X, random_state=0, device="cpu"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda X: X, r"model is a function: expected a torch\.nn\.Module; wrap a function in one"),
        (nn.ReLU, r"model is the class ReLU: expected one of its objects, ReLU\(\.\.\.\)\."),
        ("best.ckpt", r"model is a str: expected .*Module; make one, and load weights with its load_state_dict"),
        (nn.Linear(2, 1).state_dict(), r"model is an OrderedDict: .*; make one, and load weights with"),
        (torch.ones(2), r"model is a Tensor: expected a torch\.nn\.Module"),
    ],
)
def test_what_is_no_model_is_refused(model, message):
    with pytest.raises(InputError, match=message):
        require_module(model)


def test_a_target_in_the_place_of_further_inputs_is_told():
    with pytest.raises(InputError, match=r"args is an int: .*; a target is passed by its name, target="):
        sl.deep_lift_shap(nn.Flatten(), sl.random_one_hot((2, 4, 10)), 0)


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


@pytest.mark.reliability(
    "models that cannot be explained", "a model whose parameters are on the meta device", "an error that says so"
)
@pytest.mark.parametrize("call", [sl.predict, sl.attribute, sl.saturation_mutagenesis, sl.differentiable_attributions])
def test_models_without_numbers(call):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(80, 1)).to("meta")
    with pytest.raises(InputError, match=r"'1\.weight' of the model is on the meta device"):
        call(model, sl.random_one_hot((2, 4, 20)).float())
