"""References that come a few at a time are drawn while a device computes, and are the same as on the CPU."""

import pytest
import torch
from torch import nn

import seqlight as sl
from seqlight.attribution.references import References
from seqlight.prediction.host_copies import HostCopy

X = sl.random_one_hot((3, 4, 20), random_state=0)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(4, 6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(96, 1))


def explain(device, log, tolerance=1e-9):
    def seeded(X, n, random_state):
        log.append(random_state)
        return sl.dinucleotide_shuffle(X, n=n, random_state=random_state)

    return sl.attribute(
        network(), X, references=seeded, n_shuffles="auto", max_shuffles=35, tolerance=tolerance, batch_size=30,
        random_state=0, device=device,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::seqlight.errors.ReferencesWarning")
def test_the_next_references_are_drawn_while_a_device_computes(pretend, monkeypatch):
    log, wait = [], HostCopy.wait
    monkeypatch.setattr(HostCopy, "wait", lambda copy: (log.append("wait"), wait(copy))[1])
    explain("pretend", log)
    waits = [at for at, one in enumerate(log) if one == "wait"]
    assert len(waits) == 4
    # Reference 20 is of the third step, and the second step is waited for after it was drawn.
    assert log.index(20) < waits[1]
    assert log.index(30) < waits[2]
    log.clear()
    explain("cpu", log)
    assert log.index(20) > [at for at, one in enumerate(log) if one == "wait"][1]


@pytest.mark.filterwarnings("ignore::seqlight.errors.ReferencesWarning")
@pytest.mark.parametrize("tolerance", [1e-9, 0.3, 10])
def test_steps_give_what_they_give_on_the_cpu(pretend, tolerance):
    with pretend.switched(late_copies=True):
        found = explain("pretend", [], tolerance)
    wanted = explain("cpu", [], tolerance)
    assert torch.equal(found.n_references, wanted.n_references)
    assert torch.equal(found.references, wanted.references)
    torch.testing.assert_close(found.attributions, wanted.attributions, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.standard_error, wanted.standard_error, rtol=1e-4, atol=1e-6)


def test_only_references_that_are_always_the_same_are_drawn_ahead():
    def unseeded(X, n):
        return X.unsqueeze(1).repeat(1, n, 1, 1)

    for source, repeatable in (
        (sl.dinucleotide_shuffle, True), (X.unsqueeze(1), True), (unseeded, False), (lambda X, n, **more: X, True),
    ):  # fmt: skip
        assert References(source, X, 2, 0).repeatable is repeatable
