from __future__ import annotations

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import IterableDataset, TensorDataset

import seqlight as sl
from seqlight.datasets import ArrayDataset, Genome
from seqlight.lit.data import SequenceDataModule
from seqlight.lit.genome import GenomeDataModule
from seqlight.lit.training import TrainModule

SIZES = {"chr1": 900, "chr2": 400, "chr3": 500}


@pytest.fixture
def files(tmp_path):
    texts = [sl.characters(sl.random_one_hot((1, 4, size), random_state=size)[0]) for size in SIZES.values()]
    fasta = "".join(f">{name}\n{text}\n" for name, text in zip(SIZES, texts, strict=True))
    (tmp_path / "toy.fa").write_text(fasta)
    rng = np.random.RandomState(0)
    lines = []
    for row in range(60):
        chrom = list(SIZES)[row % 3]
        start = rng.randint(0, SIZES[chrom] - 30)
        lines.append(f"{chrom}\t{start}\t{start + 30}\tpeak{row}\t{row}\t{'+-.'[rng.randint(3)]}\n")
    (tmp_path / "peaks.bed").write_text("".join(lines))
    return tmp_path / "toy.fa", tmp_path / "peaks.bed"


def module(files, **options):
    settings = {"valid_chroms": ["chr2"], "test_chroms": ["chr3"], "labels": "score", "batch_size": 4}
    return GenomeDataModule(*files, 40, **settings | options)


def labels(loader):
    return torch.cat([y for _, y in loader]).tolist()


def test_splits_are_chromosomes(files):
    data = module(files)
    assert sorted(labels(data.train_dataloader())) == list(range(0, 60, 3))
    assert labels(data.val_dataloader()) == list(range(1, 60, 3))
    assert labels(data.test_dataloader()) == list(range(2, 60, 3))
    whole = data.splits["predict"]
    assert len(whole) == 60
    X = torch.cat(list(data.predict_dataloader()))
    assert torch.equal(X, Genome(files[0]).cut(whole.loci))
    assert whole.regions["name"].tolist() == [f"peak{row}" for row in range(60)]


def test_regions_to_predict(files, tmp_path):
    (tmp_path / "other.bed").write_text("chr3\t100\t200\nchr1\t0\t5\n")
    data = module(files, predict=tmp_path / "other.bed", ends="drop", train_chroms=["chr1"])
    assert data.splits["predict"].loci.start.tolist() == [130, -18]
    data = module(files, train_chroms=(), valid_chroms=["chr1"])
    assert data.splits["train"] is None
    assert len(data.splits["predict"]) == 40


def test_only_training_is_augmented(files):
    data = module(files, jitter=9, reverse_complement=True, seed=3)
    assert [data.splits[name].augments for name in ("train", "valid", "test", "predict")] == [True] + [False] * 3
    assert data.splits["train"].seed == 3


def batches(data, epochs=2, **settings):
    """Return the batches of each epoch of a training."""
    seen = []

    class Listen(TrainModule):
        def on_train_epoch_start(self):
            seen.append([])

        def training_step(self, batch, batch_idx):
            seen[-1].append((sl.characters(batch[0], allow_N=True), batch[1].tolist()))
            return super().training_step(batch, batch_idx)

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = L.Trainer(max_epochs=epochs, enable_model_summary=False, **quiet | settings)
    model = Listen(nn.Sequential(nn.Flatten(), nn.Linear(160, 1)), loss=nn.MSELoss())
    trainer.fit(model, data)
    return seen, trainer


def test_training_rows_are_the_same_with_and_without_workers(files):
    options = {"jitter": 9, "reverse_complement": True}
    alone, _ = batches(module(files, **options), epochs=3)
    assert [sorted(y for _, ys in epoch for y in ys) for epoch in alone] == [list(range(0, 60, 3))] * 3
    # Each row has another window in the next epoch.
    first, second = ({text for texts, _ in epoch for text in texts} for epoch in alone[:2])
    assert not first & second
    torch.manual_seed(77)
    several, _ = batches(module(files, **options, workers=2), epochs=2)
    assert several == alone[:2]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("saved", ["afterwards", "behind the epoch", "behind validation"])
def test_a_resumed_training_keeps_its_augmentation(files, tmp_path, workers, saved):
    options = {"jitter": 9, "reverse_complement": True, "workers": workers}
    whole, _ = batches(module(files, **options), epochs=3)
    keeper = ModelCheckpoint(tmp_path / "kept", filename="one", save_on_train_epoch_end=saved == "behind the epoch")
    saving = {"callbacks": [keeper], "enable_checkpointing": True} if saved != "afterwards" else {}
    _, trainer = batches(module(files, **options), epochs=1, **saving)
    if saved == "afterwards":
        trainer.save_checkpoint(tmp_path / "kept" / "one.ckpt")
    seen = []

    class Listen(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append((sl.characters(batch[0], allow_N=True), batch[1].tolist()))

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = L.Trainer(max_epochs=3, enable_model_summary=False, callbacks=[Listen()], **quiet)
    model = TrainModule(nn.Sequential(nn.Flatten(), nn.Linear(160, 1)), loss=nn.MSELoss())
    trainer.fit(model, module(files, **options), ckpt_path=tmp_path / "kept" / "one.ckpt")
    assert seen == whole[1] + whole[2]


def test_global_generators_are_not_used(files):
    data = module(files, jitter=4, workers=1)
    before = torch.get_rng_state(), str(np.random.get_state())
    for loader in (data.train_dataloader(), data.val_dataloader(), data.predict_dataloader()):
        list(loader)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == str(np.random.get_state())


def test_pinning_is_for_gpus(files):
    assert not module(files).train_dataloader().pin_memory
    assert module(files, pin_memory=True).train_dataloader().pin_memory


def test_any_dataset_is_a_split():
    X, y = sl.random_one_hot((5, 4, 6), random_state=0), torch.arange(5.0)
    data = SequenceDataModule(ArrayDataset(X, y), TensorDataset(X, y), predict=ArrayDataset(X.numpy()), batch_size=2)
    assert sorted(labels(data.train_dataloader())) == [0, 1, 2, 3, 4]
    assert labels(data.val_dataloader()) == [0, 1, 2, 3, 4]
    assert torch.equal(torch.cat(list(data.predict_dataloader())), X)


class Stream(IterableDataset):
    def __iter__(self):
        yield 1


def test_arguments_that_are_refused(files, tmp_path):
    with pytest.raises(sl.InputError, match="'chr2' is given 2 times as a chromosome of a split"):
        module(files, test_chroms=["chr2"])
    with pytest.raises(sl.InputError, match=r"test_chroms is the string 'chr3': .* such as \['chr3'\]"):
        module(files, test_chroms="chr3")
    with pytest.raises(sl.InputError, match=r"'valid' was not given: pass valid_chroms=\[\.\.\.\] to GenomeDataModule"):
        module(files, valid_chroms=[]).val_dataloader()
    with pytest.raises(sl.InputError, match="'chr4' is not in the genome"):
        module(files, test_chroms=["chr4"])
    with pytest.raises(sl.InputError, match=r"train is a Stream: expected .* a map-style Dataset"):
        SequenceDataModule(Stream())
    (tmp_path / "all.bed").write_text("chr2\t0\t400\n")
    with pytest.raises(
        sl.InputError, match=r"valid has no rows: .* Left out were: 40 \(chroms\), 0 \(ends\), 20 \(excl"
    ):
        module(files, exclude=[str(tmp_path / "all.bed")])
    with pytest.raises(sl.InputError, match="the split 'predict' was not given"):
        SequenceDataModule().predict_dataloader()


def test_a_format_for_regions_and_those_to_predict(files, tmp_path):
    (tmp_path / "p.narrowPeak").write_text("chr1\t100\t200\tp\t0\t.\t1\t1\t1\t100\n")
    with pytest.raises(sl.InputError, match="line 1: chr1:100-200 has its summit outside"):
        module(files, predict=tmp_path / "p.narrowPeak")
    with pytest.raises(sl.InputError, match="line 1: chr1:100-200 has its summit outside"):
        module((files[0], tmp_path / "p.narrowPeak"), labels=None, valid_chroms=(), test_chroms=())
    data = module(files, predict=tmp_path / "p.narrowPeak", format="bed")
    assert data.splits["predict"].loci.start.tolist() == [130]
