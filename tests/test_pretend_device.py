"""The pretend device does what tests rely on: what a real one does, and the CPU does not."""

import pytest
import torch

pytestmark = pytest.mark.usefixtures("pretend")


def test_it_computes():
    x = torch.arange(6.0, device="pretend").view(2, 3)
    assert (x @ x.T).cpu().tolist() == [[5, 14], [14, 50]]
    assert x.device == torch.device("pretend:0")
    y = torch.arange(3, device="pretend:1")
    assert y[y].device.index == 1


def test_devices_do_not_mix():
    x = torch.ones(3, device="pretend")
    for other in (torch.ones(3), torch.ones(3, device="pretend:1")):
        with pytest.raises(RuntimeError, match="same device"):
            torch.cat([x, other])
    with pytest.raises(RuntimeError, match="same device"):
        torch.conv1d(torch.ones(1, 1, 3), torch.ones(1, 1, 1, device="pretend"))
    assert (x * torch.tensor(2.0)).sum().item() == 6


def test_batch_norm_keeps_its_statistics():
    x, layers = torch.randn(4, 3, 5) + 2, [torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3).to("pretend:1")]
    for layer, place in zip(layers, ("cpu", "pretend:1"), strict=True):
        layer(x.to(place))
        layer.eval()(x.to(place))
    for here, there in zip(layers[0].state_dict().values(), layers[1].state_dict().values(), strict=True):
        assert torch.equal(there.cpu(), here)
    assert layers[0].running_mean.mean() > 0.1


def test_a_tensor_can_grow():
    x = torch.arange(3, device="pretend:1")
    assert x.resize_(200)[:3].tolist() == [0, 1, 2]
    assert (x.shape, x.device.index) == ((200,), 1)
    torch.add(torch.ones(2, device="pretend"), 1, out=(total := torch.empty(0, device="pretend")))
    assert total.tolist() == [2, 2]


def test_autocast_computes_in_half_precision():
    layer = torch.nn.Linear(3, 2).to("pretend")
    x = torch.ones(1, 3, device="pretend", requires_grad=True)
    with torch.autocast("pretend", torch.bfloat16):
        y = layer(x)
        with torch.autocast("pretend", enabled=False):
            assert layer(x).dtype == torch.float32
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert (x.grad.dtype, layer.weight.grad.dtype) == (torch.float32, torch.float32)


def test_it_is_not_chosen_unless_it_is_available(pretend):
    assert not torch.accelerator.is_available()
    with pretend.switched(available=True):
        assert torch.accelerator.current_accelerator(check_available=True).type == "pretend"


def test_a_late_copy_arrives_when_somebody_waits(pretend):
    x = torch.arange(3, device="pretend")
    event = torch.Event(device="pretend")
    with pretend.switched(late_copies=True):
        y = x.to("cpu", non_blocking=True)
        event.record()
        z = (x + 1).to("cpu", non_blocking=True)
        assert y.tolist() != [0, 1, 2]
        event.synchronize()
        assert y.tolist() == [0, 1, 2]
        assert z.tolist() != [1, 2, 3]
        x.sum().item()
        assert z.tolist() == [1, 2, 3]


def test_an_event_is_not_over_at_once(pretend):
    with pretend.switched(late_copies=True):
        y = torch.ones(2, device="pretend").to("cpu", non_blocking=True)
        event = torch.Event(device="pretend")
        event.record()
        assert [event.query(), event.query()] == [False, True]
    assert y.tolist() == [1, 1]


def test_pinned_memory_is_read_late(pretend):
    with pretend.switched(available=True, late_copies=True):
        x = torch.ones(3).pin_memory()
        assert x.is_pinned()
        y = x.to("pretend", non_blocking=True)
        x.fill_(2)
        assert y.tolist() == [2, 2, 2]
        y, z = x.to("pretend", non_blocking=True), x.to("pretend")  # the second waits for the first
        x.fill_(3)
        assert y.tolist() == z.tolist() == [2, 2, 2]


def test_tf32_follows_the_settings_of_pytorch(pretend):
    x, weight = torch.full((1, 1, 4), 1 + 2.0**-12, device="pretend"), torch.ones(1, 1, 1, device="pretend")

    def is_exact():
        return torch.equal(torch.conv1d(x, weight).cpu(), x.cpu())

    assert is_exact()
    with pretend.switched(tf32=True):
        assert not is_exact()
        assert torch.equal((x @ torch.ones(4, 1, device="pretend")).cpu(), x.cpu()[..., :1] * 4)
        before = torch.backends.cudnn.conv.fp32_precision
        torch.backends.cudnn.conv.fp32_precision = "ieee"
        try:
            assert is_exact()
        finally:
            torch.backends.cudnn.conv.fp32_precision = before
        assert not is_exact()


def test_it_lacks_float64_if_told_so(pretend):
    x = torch.ones(3, device="pretend")
    assert x.double().dtype == torch.float64
    with pretend.switched(no_float64=True), pytest.raises(TypeError, match="float64"):
        x.double()


def test_memory_runs_out(pretend):
    with pretend.memory_limit(2**20):
        free, total = torch.pretend.mem_get_info()
        assert free == 2**20 <= total
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(2**20, device="pretend")
        torch.empty(2**17, device="pretend")
    torch.empty(2**20, device="pretend")


def test_it_counts(pretend):
    x = torch.ones(4, device="pretend")
    with pretend.counted() as counts:
        (x + 1).relu().to("cpu", non_blocking=True)
        x[x > 2]
        x.sum().item()
    assert counts.awaited == {"wait nonzero": 1, "wait item": 1}
    assert counts.by_name["copy to host"] == 1
    assert counts.by_name["launch relu"] == 1


def test_convolutions_are_unsteady_unless_they_must_not(pretend):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 64, 30, device="pretend"), torch.randn(8, 64, 9, device="pretend", requires_grad=False)

    def gradients():
        y = x.clone().requires_grad_()
        torch.conv1d(y, weight).square().sum().backward()
        return y.grad.cpu()

    assert torch.equal(gradients(), gradients())
    with pretend.switched(unsteady=True):
        assert not torch.equal(gradients(), gradients())
        with torch.backends.cudnn.flags(deterministic=True, allow_tf32=True):
            assert torch.equal(gradients(), gradients())


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_recurrent_layers(kind):
    torch.manual_seed(0)
    layer, x = kind(4, 3, batch_first=True), torch.randn(2, 5, 4)

    def run(device):
        inputs = x.to(device).requires_grad_()
        y = layer.to(device)(inputs)[0]
        gradients = torch.autograd.grad(y.square().sum(), [inputs, *layer.parameters()])
        return [one.detach().cpu() for one in (y, *gradients)]

    torch.testing.assert_close(run("pretend"), run("cpu"))


def test_conjugates():
    x = torch.view_as_complex(torch.arange(4.0).view(2, 2)).to("pretend")
    assert (x.conj() * 2).cpu().tolist() == [-2j, 4 - 6j]
    assert x.conj().imag.cpu().tolist() == [-1, -3]
