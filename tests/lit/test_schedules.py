from functools import partial

import pytest
import torch

import seqlight as sl
from seqlight.lit.schedules import Cosine, OneCycle, Stock


def rates(schedule, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = schedule(optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step(), scheduler.step()
    return found


def test_cosine_rises_linearly_and_falls_along_half_a_wave():
    found = rates(Cosine(warmup=0.2, least=0.1), 20)
    assert found[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert found[12] == pytest.approx(2 * (0.1 + 0.9 / 2))
    assert found[4:] == sorted(found[4:], reverse=True)
    assert found[-1] > 0.2
    assert rates(Cosine(warmup=0), 4)[0] == 2.0
    assert rates(Cosine(), 1) == [2.0]


def test_one_cycle():
    found = rates(OneCycle(0.5, warmup=0.25), 40)
    assert max(found) == pytest.approx(0.5)
    assert found.index(max(found)) == 9
    assert found[-1] < 1e-4


def test_any_scheduler_of_pytorch():
    found = rates(Stock(partial(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5)), 5)
    assert found == [2.0, 2.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize("warmup", [-0.1, 1.0])
def test_a_warmup_that_is_no_share_is_refused(warmup):
    for kind in (Cosine, partial(OneCycle, 1.0)):
        with pytest.raises(sl.InputError, match="warmup is"):
            kind(warmup=warmup)
