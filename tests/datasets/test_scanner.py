import pytest
import torch

import seqlight as sl
from seqlight.datasets.planted import PlantedDataset, load_planted
from seqlight.datasets.scanner import MotifScanner


def test_a_filter_finds_its_motif_wherever_it_is():
    model = MotifScanner(filters=1, width=7, hidden=1).eval()
    site = sl.one_hot_encode("TGACTCA", dtype=torch.float32)
    with torch.no_grad():
        model.scan.weight[0], model.scan.bias[0] = site, -6
        model.weigh[1].weight.fill_(1), model.weigh[1].bias.zero_()
        model.weigh[3].weight.fill_(2), model.weigh[3].bias.fill_(0.5)
    X = sl.one_hot_encode(["TTTTTTTTTTTTTTTT", "TGACTCAAAAAAAAAA", "GGGGGGGGGTGACTCA"], dtype=torch.float32)
    assert model(X).squeeze(1).tolist() == [0.5, 2.5, 2.5]
    assert MotifScanner(outputs=3, letters=5)(torch.zeros(2, 5, 9)).shape == (2, 3)


def test_planted_splits():
    data = load_planted(40, length=50, seed=3)
    for name in ("train", "valid", "test"):
        X, y = PlantedDataset(name, n=40, length=50, seed=3).batch(range(6))
        assert torch.equal(X, getattr(data, name).X[:6])
        assert torch.equal(y, getattr(data, name).y[:6])
    with pytest.raises(sl.InputError, match="split is 'all'"):
        PlantedDataset("all")
