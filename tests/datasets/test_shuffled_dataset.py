import numpy as np
import pytest
import torch

import seqlight as sl
from seqlight.datasets import ArrayDataset, ShuffledDataset
from seqlight.lit import DeepLiftShapModule


@pytest.fixture
def X():
    X = sl.random_one_hot((5, 4, 30), random_state=0)
    X[2, :, 7:9] = 0
    return X


def test_a_run_over_shuffles_is_the_control(X, tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(4, 3, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(78, 1))
    module = DeepLiftShapModule(model, n_shuffles=3, random_state=1)
    data = ShuffledDataset(X, n=2, random_state=1)
    found = sl.run(module, data, out=tmp_path, accelerator="cpu", devices=1, progress=False, batch_size=3)
    control = sl.shuffled_control(model, X, n=2, random_state=1, n_shuffles=3)
    np.testing.assert_allclose(found["attributions"].numpy().sum(1), control, atol=1e-6)


def test_rows_do_not_depend_on_the_batch(X):
    data = ShuffledDataset(ArrayDataset(X), n=3)
    rows = [14, 0, 7, 7]
    assert torch.equal(data.batch(rows), torch.stack([data[row] for row in rows]))
    # Unknown characters stay, and each shuffle has the pairs of its sequence.
    assert torch.equal(data[7].any(dim=0), X[2].any(dim=0))
    assert not torch.equal(data[0], data[1])


def test_further_inputs_stay(X):
    y = torch.arange(5)
    shuffled, labels = ShuffledDataset((X, y), n=2).batch([3, 9])
    assert labels.tolist() == [1, 4]
    assert shuffled.sum() == X[[1, 4]].sum()


def test_the_fingerprint_is_that_of_the_shuffles(X):
    made = [ShuffledDataset(X), ShuffledDataset(X, n=2), ShuffledDataset(X, random_state=1), ShuffledDataset(X[:4])]
    assert len({one.fingerprint() for one in made}) == 4
    assert ShuffledDataset(X.clone()).fingerprint() == made[0].fingerprint()
    assert made[0].loci is None


def test_data_that_cannot_be_shuffled(X):
    with pytest.raises(sl.InputError, match="data is a list: expected one or two arrays, or a dataset of seqlight"):
        ShuffledDataset([X])
    with pytest.raises(sl.InputError, match="n is 0"):
        ShuffledDataset(X, n=0)
