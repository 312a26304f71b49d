import pandas as pd
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, DistributedSampler, Subset, TensorDataset

import seqlight as sl
from seqlight.datasets import ArrayDataset, GenomeDataset, TrainingOrder


def test_rows_come_as_they_always_did():
    """The order of PyTorch's own sampler, on which trainings that are resumed rely."""
    for dataset in (TensorDataset(torch.arange(11)), ArrayDataset(torch.arange(11))):
        ours, theirs = TrainingOrder(dataset, seed=5), DistributedSampler(dataset, 1, 0, shuffle=True, seed=5)
        seen = []
        for epoch in range(3):
            ours.set_epoch(epoch), theirs.set_epoch(epoch)
            seen.append(list(ours))
            assert seen[-1] == list(theirs)
            assert sorted(seen[-1]) == list(range(11))
        assert seen[0] != seen[1]


def test_plain_datasets_get_plain_rows():
    dataset = TensorDataset(torch.arange(5))
    loader = DataLoader(dataset, batch_size=2, sampler=TrainingOrder(dataset), generator=torch.Generator())
    assert sorted(torch.cat([one for (one,) in loader]).tolist()) == list(range(5))


def test_datasets_that_hide_the_epoch(fasta):
    regions = pd.DataFrame({"chrom": ["chr1"] * 4, "start": range(4), "end": range(20, 24)})
    moving, still = (GenomeDataset(fasta, regions, 10, jitter=jitter) for jitter in (1, 0))
    for dataset in (Subset(moving, [0, 1]), ConcatDataset([still, moving])):
        with pytest.raises(sl.InputError, match="would hide the epoch from it: make one of the rows"):
            TrainingOrder(dataset)
    assert sorted(TrainingOrder(Subset(still, [0, 1]))) == [0, 1]
