"""Each row of the inputs of a model is sent to the device once, and the model cannot write to the caller's tensors."""

import pytest
import torch

from seqlight.attribution.model_inputs import ModelInputs, repeat_rows

X = torch.randint(0, 2, (6, 4, 5), dtype=torch.int8)
CONTROL, SHARED = torch.arange(6.0), torch.arange(3.0)


def made(device, explained=X):
    inputs = ModelInputs((explained,), (CONTROL, "text", SHARED), torch.device(device))
    inputs.set_dtype(torch.float32)
    return inputs


@pytest.mark.parametrize("device", ["cpu", "pretend"])
def test_rows_are_those_of_the_caller(pretend, device):
    inputs = made(device)
    (x,) = inputs.rows(2, 4)
    (both,) = inputs.rows(2, 4, n=3)
    control, text, shared = inputs.further(2, 4, n=3)
    assert x.dtype == torch.float32
    assert x.device.type == control.device.type == shared.device.type == device
    assert torch.equal(x.cpu(), X[2:4].float())
    assert torch.equal(both.cpu(), X[2:4].float().repeat(3, 1, 1))
    assert control.tolist() == [2, 3, 2, 3, 2, 3]
    assert (text, shared.tolist()) == ("text", SHARED.tolist())


def test_rows_are_sent_once(pretend):
    inputs = made("pretend")
    with pretend.counted() as counts:
        inputs.rows(0, 4)
        sent = counts_now(
            pretend, lambda: inputs.rows(1, 3), lambda: inputs.further(0, 4, 5), lambda: inputs.rows(0, 4)
        )
    assert counts.copies_to_device == 3  # the sequences, and both tensors of the further inputs
    assert sent == 0
    assert counts_now(pretend, lambda: inputs.rows(3, 5)) == 3


def counts_now(pretend, *calls):
    with pretend.counted() as counts:
        for call in calls:
            call()
    return counts.copies_to_device


def test_a_model_may_write_to_further_inputs():
    inputs = made("cpu")
    for n in (1, 2):
        for one in inputs.further(0, 6, n):
            if isinstance(one, torch.Tensor):
                one.fill_(-1)
    assert CONTROL.tolist() == [0, 1, 2, 3, 4, 5]
    assert SHARED.tolist() == [0, 1, 2]
    assert inputs.further(1, 2)[0].tolist() == [1]


def test_sequences_in_the_dtype_of_the_model_are_not_copied_on_the_cpu():
    floats = X.float()
    (x,) = made("cpu", floats).rows(1, 3)
    assert x.data_ptr() == floats[1:].data_ptr()


def test_another_dtype_is_sent_anew():
    inputs = made("cpu")
    assert inputs.rows(0, 2)[0].dtype == torch.float32
    inputs.set_dtype(torch.float64)
    assert inputs.rows(0, 2)[0].dtype == torch.float64


def test_references_of_a_larger_dtype_are_sent_as_they_are_used(pretend):
    inputs = made("pretend")
    assert inputs.send(X).device.type == "pretend"
    assert inputs.send(X.double()).is_cpu
    assert inputs.convert(X.double()).dtype == torch.float32


def test_copies_are_contiguous():
    one = torch.arange(6.0).view(2, 3).T
    assert repeat_rows(one, 1).is_contiguous()
    assert repeat_rows(one, 2).tolist() == [*one.tolist(), *one.tolist()]
