from __future__ import annotations

from types import SimpleNamespace

import lightning.pytorch as L
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, Subset, TensorDataset

import seqlight as sl
from seqlight.lit import DeepLiftShapModule, ShardedDataModule
from small_memory import _small_memory as _small_memory

X = torch.arange(40).reshape(10, 4)


class Module(L.LightningDataModule):
    def __init__(self, loader=None):
        super().__init__()
        self.loader, self.calls = loader, []

    def prepare_data(self):
        self.calls.append("prepare")

    def setup(self, stage):
        self.calls.append(stage)

    def predict_dataloader(self):
        return self.loader or DataLoader(TensorDataset(X), batch_size=4, num_workers=2)


def ids(data):
    return [batch.ids.tolist() for batch in data.predict_dataloader()]


def test_rows_in_order():
    assert ids(ShardedDataModule(X, batch_size=4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(ShardedDataModule(X)) == 10


def test_planned_shards():
    begun = []
    data = ShardedDataModule(X, batch_size=2)
    data.plan(3, [1, 3], lambda: begun.append(1))
    assert ids(data) == [[3, 4], [5], [9]]
    assert begun == [1]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_keep_the_order(workers):
    data = ShardedDataModule((X, X), batch_size=3, workers=workers)
    batches = list(data.predict_dataloader())
    assert [batch.ids.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert torch.equal(torch.cat([batch.entries[1] for batch in batches]), X)


def test_global_generators_are_not_used():
    before = torch.get_rng_state()
    list(ShardedDataModule(X, batch_size=2, workers=1).predict_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_datamodule_with_predict_dataloader(trainer):
    module = Module()
    data = ShardedDataModule(module)
    data.prepare_data()
    assert data.batch_size == 4
    assert data.workers == 2
    assert len(data) == 10
    assert module.calls == ["prepare", "predict"]
    assert ShardedDataModule(Module(), batch_size=3, workers=0).batch_size == 3
    with pytest.raises(sl.InputError, match="predict_dataloader of the data gives a list: expected one DataLoader"):
        len(ShardedDataModule(Module([DataLoader(TensorDataset(X))])))


def test_a_loader():
    data = ShardedDataModule(DataLoader(TensorDataset(X), batch_size=7))
    assert data.batch_size == 7
    assert ids(data) == [list(range(7)), [7, 8, 9]]


@pytest.mark.parametrize("rows", [0, 1, 7, 255, 256, 257, 10_000, 10_000_000])
@pytest.mark.parametrize("batch_size", [1, 32, 500])
@pytest.mark.parametrize("processes", [1, 3, 64])
def test_shards_are_whole_batches_and_not_too_many(rows, batch_size, processes):
    data = ShardedDataModule(np.broadcast_to(np.zeros(1), (rows,)), batch_size=batch_size)
    size = data.rows_for_a_shard(processes)
    assert size % data.batch_size == 0
    assert size < 2048 + data.batch_size
    assert -(-rows // size) <= max(32, 16 * processes, -(-rows // 2048))
    if rows > 16 * processes * batch_size:  # all end together
        assert rows // size >= 8 * processes


def test_a_subset_has_the_loci_of_its_rows():
    class Windows(torch.utils.data.Dataset):
        loci = sl.Loci(np.array(["chr1"] * 4), np.arange(4), np.arange(4) + 4, np.array(["+"] * 4))

        def __init__(self, version):
            self.version = version

        def fingerprint(self):
            return f"peaks, version {self.version}"

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return torch.zeros(4, 4)

    def some(rows, version=1):
        return ShardedDataModule(Subset(Windows(version), rows))

    assert some([3, 1]).loci.start.tolist() == [3, 1]
    assert some([1, 3]).fingerprint() == some([1, 3]).fingerprint()
    others = some([3, 1]), some([1, 2]), some([1, 3], version=2)
    assert some([1, 3]).fingerprint() not in {one.fingerprint() for one in others}
    assert ShardedDataModule(Subset(Subset(Windows(1), [3, 1, 0]), [1, 2])).loci.start.tolist() == [1, 0]
    assert ShardedDataModule(Subset(TensorDataset(torch.zeros(3, 4, 5)), [1])).loci is None


def test_a_subset_of_a_dataset_without_loci_or_fingerprint():
    class Turned(Subset):
        def __getitem__(self, i):
            return -super().__getitem__(i)

        def __getitems__(self, indices):
            return [self[i] for i in indices]

    rows = [(torch.full((4, 5), float(i)), i) for i in range(4)]
    some = {tuple(of): ShardedDataModule(Subset(rows, of)).fingerprint() for of in ([0, 1], [1, 0], [2, 3])}
    assert len(set(some.values())) == 3
    plain = torch.arange(3.0)
    assert ShardedDataModule(Turned(plain, [1])).fingerprint() != ShardedDataModule(Subset(plain, [1])).fingerprint()


def test_loci_and_fingerprint_of_the_data():
    class Windows(torch.utils.data.Dataset):
        loci = sl.Loci(np.array(["chr1"] * 3), np.arange(3), np.arange(3) + 4, np.array(["+"] * 3))

        def fingerprint(self):
            return "peaks, version 2"

        def __len__(self):
            return 3

        def __getitem__(self, i):
            return torch.tensor(i)

    data = ShardedDataModule(Windows())
    assert data.fingerprint() == "peaks, version 2"
    assert data.loci.end.tolist() == [4, 5, 6]
    assert ShardedDataModule(X).loci is None
    Windows.loci = Windows.loci._replace(end=np.arange(3))
    with pytest.raises(sl.InputError, match="is empty"):
        _ = data.loci


def test_arguments_that_are_refused():
    with pytest.raises(sl.InputError, match="batch_size is 0"):
        ShardedDataModule(X, batch_size=0)
    with pytest.raises(sl.InputError, match="workers is -1"):
        ShardedDataModule(X, workers=-1)


def test_more_rows_are_loaded_at_a_time_where_a_device_tells_its_memory(small_memory):
    def loaded(data, module=None, **settings):
        data, place = ShardedDataModule(data, **settings), SimpleNamespace(root_device=torch.device("cpu"))
        data.trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=place, lightning_module=module)
        return list(map(len, data.batches())), data.rows_for_a_shard()

    rows = torch.zeros(4000, 2)
    on_the_cpu = loaded(rows)
    small_memory(1000)
    assert on_the_cpu == ([32] * 125, 128)
    assert loaded(rows) == ([128] * 31 + [32], 128)  # shards are the same, so that a run can go on anywhere
    assert loaded(rows, batch_size="auto") == loaded(rows)
    assert loaded(torch.zeros(400_000, 1)) == ([2048] * 195 + [640], 2048)
    assert loaded(torch.zeros(400_000, 1), DeepLiftShapModule(torch.nn.Linear(1, 1)))[0][0] == 256
    assert loaded(TensorDataset(torch.zeros(400_000, 1)))[0][0] == 128
    assert max(loaded(np.zeros((300, 2**20), dtype=np.int8), batch_size="auto")[0]) == 32
    assert loaded(rows, batch_size=50)[0] == [50] * 80
    assert max(loaded(DataLoader(TensorDataset(rows), batch_size=70))[0]) == 70


def test_what_is_no_batch_size():
    with pytest.raises(sl.InputError, match="batch_size is 'many': expected a number or 'auto'"):
        ShardedDataModule(X, batch_size="many")


def test_letters_are_those_of_the_data_or_those_that_are_given(tmp_path):
    X = torch.zeros(3, 4, 10)
    assert ShardedDataModule(X).letters == ""
    for given in ("rna", "ACGU", list("ACGU")):
        assert ShardedDataModule(X, alphabet=given).letters == "ACGU"
    (tmp_path / "a.fa").write_text(">a\nACGU\n>b\nGGGA\n")
    data = sl.FastaDataset(tmp_path / "a.fa", alphabet="RNA", write_index=False)
    assert ShardedDataModule(torch.utils.data.Subset(data, [1]), alphabet="DNA").letters == "ACGU"
    with pytest.raises(sl.InputError, match="occurs twice in alphabet"):
        ShardedDataModule(X, alphabet="AACG")


def test_lengths_of_chromosomes_are_those_that_rows_are_from(tmp_path):
    assert ShardedDataModule(torch.zeros(3, 4, 10)).chrom_sizes == {}
    (tmp_path / "a.fa").write_text(">chrB\nACGTAC\n>none\nACGT\n>chrA\nACGTA\n")
    regions = pd.DataFrame({"chrom": ["chrA", "chrB"], "start": [0, 2], "end": [4, 6]})
    data = sl.GenomeDataset(sl.Genome(tmp_path / "a.fa", write_index=False), regions)
    assert list(ShardedDataModule(data).chrom_sizes.items()) == [("chrB", 6), ("chrA", 5)]
    assert ShardedDataModule(torch.utils.data.Subset(data, [0])).chrom_sizes == {"chrA": 5}
