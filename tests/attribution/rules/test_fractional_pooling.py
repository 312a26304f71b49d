"""Fractional pooling: explained with fixed windows, refused with those of the moment."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seqlight import deep_lift_shap, random_one_hot
from seqlight.errors import UnsupportedOperation

SAMPLES = torch.rand(1, 2, 3, generator=torch.Generator().manual_seed(0))


def samples(h, n):
    return SAMPLES[..., :n].to(h).expand(len(h), -1, -1)


OPERATIONS = {
    "plane": lambda h: F.fractional_max_pool2d(h.view(-1, 2, 6, 10), 2, (3, 4), _random_samples=samples(h, 2)),
    "plane, by ratio": lambda h: F.fractional_max_pool2d(
        h.view(-1, 2, 6, 10), 3, output_ratio=(0.5, 0.6), return_indices=True, _random_samples=samples(h, 2)
    )[0],
    "space": lambda h: F.fractional_max_pool3d(h.view(-1, 2, 3, 4, 5), 2, (1, 2, 3), _random_samples=samples(h, 3)),
    "unpooled": lambda h: F.max_unpool2d(
        *F.fractional_max_pool2d_with_indices(h.view(-1, 2, 6, 10), 1, (3, 4), _random_samples=samples(h, 2)),
        (2, 3),
        output_size=(6, 10),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_with_windows_that_are_given(name, Around, incompleteness):
    assert incompleteness(Around(OPERATIONS[name])) < 1e-9


@pytest.mark.parametrize("n", [2, 3])
def test_with_windows_of_the_moment(n, Around):
    kind, shape = {2: (nn.FractionalMaxPool2d, (2, 6, 10)), 3: (nn.FractionalMaxPool3d, (2, 3, 4, 5))}[n]
    model = Around(
        nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Flatten(), nn.Unflatten(1, shape), kind(2, output_ratio=0.6))
    )
    with pytest.raises(
        UnsupportedOperation, match=rf"fractional_max_pool{n}d draws its windows.*fixed _random_samples.*in mod"
    ):
        deep_lift_shap(model, random_one_hot((2, 4, 20), random_state=0), device="cpu", random_state=0)
