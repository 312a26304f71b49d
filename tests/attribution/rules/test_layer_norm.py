"""Each norm of layers is PyTorch's, whatever is asked of it."""

import pytest
import torch
from torch.nn import functional as F

from seqlight.attribution.rules import layer_norm

torch.manual_seed(0)
X = torch.randn(2, 6, 5, dtype=torch.float64)
W, B = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
C = torch.rand(6, dtype=torch.float64)

CASES = [
    (layer_norm.layer_norm, F.layer_norm, (X, (5,), W, B), {}),
    (layer_norm.layer_norm, F.layer_norm, (X, [6, 5]), {"eps": 0.1}),
    (layer_norm.rms_norm, F.rms_norm, (X, (5,), W), {}),
    (layer_norm.rms_norm, F.rms_norm, (X, (6, 5)), {"eps": 0.1}),
    (layer_norm.group_norm, F.group_norm, (X, 3, C, C), {"eps": 0.1}),
    (layer_norm.group_norm, F.group_norm, (X[..., None], 2), {}),
    (layer_norm.instance_norm, torch.instance_norm, (X, C, C, None, None, True, 0.1, 1e-5, False), {}),
    (layer_norm.instance_norm, torch.instance_norm, (X, None, None, C, C + 1, False, 0.1, 1e-5, False), {}),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{one[0].__name__}" for i, one in enumerate(CASES)])
def test_the_same_values(case):
    ours, theirs, args, kwargs = case
    torch.testing.assert_close(ours(*args, **kwargs), theirs(*args, **kwargs), rtol=1e-12, atol=1e-12)
