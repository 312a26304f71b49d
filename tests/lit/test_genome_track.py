import errno
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import seqlight as sl
from bigwig_values import read_bigwig
from seqlight.datasets.tiled_genome import TiledGenome
from seqlight.lit import DeepLiftShapModule, GenomeDataModule, PredictModule
from toy_genome import draw, write_genome
from toy_genome import window as text_of
from user_operations import by_numpy

WINDOW, TILE = 30, 12
QUIET = {"accelerator": "cpu", "devices": 1, "progress": False}


class Net(nn.Module):
    """Outputs for tasks, or along the window."""

    def __init__(self, kind="tasks"):
        super().__init__()
        torch.manual_seed(0)
        self.kind, self.conv, self.head = kind, nn.Conv1d(4, 3, 5), nn.Linear(78, 2)
        self.double()

    def forward(self, X):
        y = torch.relu(self.conv(X))  # 26 positions
        match self.kind:
            case "tasks":
                return self.head(y.flatten(1))
            case "profile":
                return y[:, 0]
            case "tracks":
                return y[:, :2]
            case "tracks last":
                return y[:, :2].transpose(1, 2)
            case "many scores":
                return y[:, 0] + 1
            case "score":
                return y.sum(dim=(1, 2))
            case "scores":
                return y.sum(dim=2)[:, :2]
            case "one score":
                return y.sum(dim=(1, 2))[:, None]
            case "not finite":
                return y[:, 0] / (X[:, 0, 2:28] - 1)
        return {"profile": y}


@pytest.fixture(scope="module")
def genome():
    return {"chr1": draw(117, 1, "ACGTacgt"), "chr2": "N" * 40 + draw(41, 2, "ACGTN") + "n" * 90, "chrM": "ACGTTC"}


@pytest.fixture
def fasta(genome, tmp_path):
    folder = tmp_path / "genome"
    folder.mkdir()
    return write_genome(folder / "toy.fa", genome)


def tracked(module, fasta, out, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sl.ReferencesWarning)
        return sl.track(module, fasta, out, **{"window": WINDOW, "tile": TILE} | QUIET | settings)


def expected(genome, compute, stretches=None, tile=TILE, step=TILE):
    """Compute the windows one after another, and write the mean of their tiles into arrays."""
    total = {chrom: np.zeros(len(text)) for chrom, text in genome.items()}
    count = {chrom: np.zeros(len(text)) for chrom, text in genome.items()}
    left = (WINDOW - tile) // 2
    for chrom, low, high in stretches or [(chrom, 0, len(text)) for chrom, text in genome.items()]:
        for at in range(low, max(low + 1, high - tile + step), step):
            text = text_of(genome, chrom, at - left, at - left + WINDOW)
            if set(text) == {"N"}:
                continue
            values = compute(sl.one_hot_encode([text]).to(torch.float64))
            for i, value in enumerate(np.broadcast_to(values, tile)):
                if low <= at + i < high:
                    total[chrom][at + i] += value
                    count[chrom][at + i] += 1
    with np.errstate(invalid="ignore"):
        return {chrom: total[chrom] / count[chrom] for chrom in genome}


def attributed(X, target=0, tile=TILE):
    found = sl.deep_lift_shap(Net(), X, target=target, n_shuffles=3, random_state=0, device="cpu")
    left = (WINDOW - tile) // 2
    return found.sum(dim=1)[0, left : left + tile].numpy()


def same(found, wanted):
    assert list(found) == list(wanted)
    for chrom, values in wanted.items():
        np.testing.assert_array_equal(np.isnan(found[chrom]), np.isnan(values))
        np.testing.assert_allclose(found[chrom], values, rtol=1e-5, atol=1e-7, equal_nan=True)
    assert not all(np.isnan(values).all() for values in wanted.values())


@pytest.fixture
def ours():
    """Attribute, as `attributed` does."""
    return lambda **more: DeepLiftShapModule(Net(), n_shuffles=3, **more)


@pytest.mark.filterwarnings("ignore::seqlight.errors.ReferencesWarning")
@pytest.mark.parametrize(("tile", "step"), [(TILE, TILE), (TILE, 5), (7, 7), (WINDOW, WINDOW)])
def test_each_position_has_the_value_of_the_window_around_it(genome, fasta, tmp_path, ours, tile, step):
    found = tracked(ours(), fasta, tmp_path / "out", tile=tile, step=step)
    wanted = expected(genome, lambda X: attributed(X, tile=tile), tile=tile, step=step)
    same(read_bigwig(tmp_path / "out" / "attributions.bw"), wanted)
    assert found["track"].dtype == np.float32
    assert found["track"].shape == (len(TiledGenome(fasta, WINDOW, tile, step=step)), tile)
    assert set(found) == {"track", "outputs", "largest_delta", "mean_delta", "mean_difference"}
    assert np.isnan(wanted["chr2"]).any()


@pytest.mark.filterwarnings("ignore::seqlight.errors.ReferencesWarning")
def test_regions_and_chromosomes(genome, fasta, tmp_path, ours):
    bed = tmp_path / "peaks.bed"
    bed.write_text("chr2\t45\t70\nchr1\t100\t117\nchr1\t3\t20\nchr1\t18\t31\n")
    tracked(ours(), fasta, tmp_path / "a", regions=bed)
    stretches = [("chr1", 3, 31), ("chr1", 100, 117), ("chr2", 45, 70)]
    same(read_bigwig(tmp_path / "a" / "attributions.bw"), expected(genome, attributed, stretches))
    tracked(ours(), fasta, tmp_path / "b", regions=bed, chroms=["chr1"])
    same(read_bigwig(tmp_path / "b" / "attributions.bw"), expected(genome, attributed, stretches[:2]))


@pytest.mark.filterwarnings("ignore::seqlight.errors.ReferencesWarning")
def test_several_targets(genome, fasta, tmp_path, ours):
    found = tracked(ours(target=[0, 1]), fasta, tmp_path / "out", chroms=["chr1"])
    assert found["track"].shape == (10, 2, TILE)
    for target in (0, 1):
        wanted = expected(genome, lambda X, t=target: attributed(X, t), [("chr1", 0, 117)])
        same(read_bigwig(tmp_path / "out" / f"attributions.target_{target}.bw"), wanted)


@pytest.mark.parametrize(
    ("kind", "positions", "files"),
    [
        ("profile", 1, ["predictions"]),
        ("tracks", None, ["predictions.target_0", "predictions.target_1"]),
        ("tracks", 2, ["predictions.target_0", "predictions.target_1"]),
        ("tracks last", 1, ["predictions.target_0", "predictions.target_1"]),
        ("score", None, ["predictions"]),
        ("scores", None, ["predictions.target_0", "predictions.target_1"]),
        ("one score", "none", ["predictions"]),
        ("many scores", "none", [f"predictions.target_{i}" for i in range(26)]),
    ],
)
def test_predictions(genome, fasta, tmp_path, kind, positions, files):
    net = Net(kind)
    tracked(PredictModule(net), fasta, tmp_path / "out", positions=positions)
    assert {one.name for one in (tmp_path / "out").glob("*.bw")} == {f"{one}.bw" for one in files}

    def predicted(X, target):
        with torch.no_grad():
            y = net(X)
        y = y.transpose(1, 2) if kind == "tracks last" else y
        y = y[:, target] if len(files) > 1 else y
        if kind == "many scores":
            return y.numpy()
        # The 26 positions of the output lie in the middle of the window, whose tile begins at 9.
        return (y[0, 7 : 7 + TILE] if y.ndim == 2 and y.shape[1] > 1 else y.flatten()).numpy()

    for target, name in enumerate(files):
        wanted = expected(genome, lambda X, t=target: predicted(X, t))
        same(read_bigwig(tmp_path / "out" / f"{name}.bw"), wanted)


def test_results_of_any_run_over_a_genome_are_written(fasta, tmp_path, ours):
    regions = pd.DataFrame(
        {"chrom": ["chr1"] * 3, "start": [50, 20, 30], "end": [80, 50, 60], "strand": ["-", "+", "-"]}
    )
    data = sl.GenomeDataset(fasta, regions)
    found = sl.run(ours(target=[0, 1]), data, tmp_path / "out", shard_rows=1, **QUIET)
    sl.write_bigwig(tmp_path / "out" / "a.bw", found, chrom_sizes=data.genome.sizes, target=1)
    attributions = found["attributions"].numpy()[:, 1]
    sl.write_bigwig(tmp_path / "b.bw", attributions, data.loci, data.genome.sizes)
    assert (tmp_path / "out" / "a.bw").read_bytes() == (tmp_path / "b.bw").read_bytes()
    assert sl.open_results(tmp_path / "out")["attributions"].shape == (3, 2, 4, WINDOW)
    values = read_bigwig(tmp_path / "b.bw")["chr1"]
    assert values[79] == pytest.approx(attributions[0, :, 0].sum(), rel=1e-6)


def test_the_same_call_goes_on_and_writes_the_same(fasta, tmp_path, ours):
    first = tracked(ours(), fasta, tmp_path / "out", chroms=["chr1"], shard_rows=2)
    path = tmp_path / "out" / "attributions.bw"
    whole = path.read_bytes()
    path.unlink()
    for shard in sorted((tmp_path / "out").glob("shard-*"))[1:3]:
        shard.unlink()
    again = tracked(ours(), fasta, tmp_path / "out", chroms=["chr1"], batch_size=2)
    assert path.read_bytes() == whole
    np.testing.assert_array_equal(first["track"].numpy(), again["track"].numpy())
    sl.open_results(tmp_path / "out").verify()
    assert sorted(one.name for one in fasta.parent.iterdir()) == ["toy.fa", "toy.fa.fai"]


@pytest.mark.reliability(
    "tracks", "a genome in a folder that cannot be written to", "its index is kept in memory, and nothing is said"
)
def test_the_folder_of_a_genome_need_not_be_writable(fasta, tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for genome, allowed in [(fasta, False), (sl.datasets.Genome(fasta, write_index=False), True)]:
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            if not allowed:
                patch.setattr("seqlight.formats.fai.atomic_write", refuse)
            tracked(PredictModule(Net("score")), genome, tmp_path / str(allowed), chroms=["chr1"])
            regions = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [5, 41], "end": [35, 71]})
            GenomeDataModule(genome, regions, valid_chroms=["chr2"])
        assert [one.name for one in fasta.parent.iterdir()] == ["toy.fa"]


@pytest.mark.reliability(
    "tracks", "a folder of another tile, window, region or model", "refused, and the message names the difference"
)
def test_another_track_is_refused(fasta, tmp_path, ours):
    tracked(ours(), fasta, tmp_path / "out", chroms=["chr1"])
    for change, said in [
        ({"tile": 10}, "method tile"),
        ({"chroms": ["chr2"]}, "holds another run"),
        ({"step": 6}, "holds another run"),
    ]:
        with pytest.raises(sl.ResultsError, match=said):
            tracked(ours(), fasta, tmp_path / "out", **{"chroms": ["chr1"]} | change)
    with pytest.raises(sl.ResultsError, match="track of predict"):
        tracked(PredictModule(Net("profile")), fasta, tmp_path / "out", positions=1, chroms=["chr1"])


@pytest.mark.reliability("tracks", "a model that gives NaN at some positions", "these are left out, and counted")
def test_what_is_not_finite_is_left_out(genome, fasta, tmp_path):
    with pytest.warns(sl.SeqlightWarning, match=r"\d+ positions of predictions.bw are left out, where"):
        tracked(PredictModule(Net("not finite")), fasta, tmp_path / "out", positions=1, chroms=["chr1"])
    found = read_bigwig(tmp_path / "out" / "predictions.bw")["chr1"]
    assert 10 < np.isnan(found).sum() < 60


@pytest.mark.reliability("tracks", "a model whose attributions are incomplete", "a warning with the largest delta")
def test_attributions_that_do_not_add_up_are_reported(fasta, tmp_path):
    class Unseen(Net):
        def forward(self, X):
            y = super().forward(X)
            return y + 5 * by_numpy(y)

    module = DeepLiftShapModule(Unseen(), n_shuffles=3)
    with pytest.warns(sl.ConvergenceWarning, match=r"in the worst of \d+ of 10 windows"):
        tracked(module, fasta, tmp_path / "out", chroms=["chr1"])
    with pytest.raises(sl.ConvergenceError, match="deltas too high"):
        tracked(DeepLiftShapModule(Unseen(), n_shuffles=3, deltas="raise"), fasta, tmp_path / "b", chroms=["chr1"])


@pytest.mark.filterwarnings("ignore::seqlight.errors.ReferencesWarning")
def test_as_many_references_as_are_needed(fasta, tmp_path):
    module = DeepLiftShapModule(Net(), n_shuffles="auto", tolerance=0.5, max_shuffles=30)
    found = tracked(module, fasta, tmp_path / "out", chroms=["chr1"])
    assert np.isfinite(found["mean_delta"].numpy()).all()
    assert (found["mean_difference"].numpy() > 0).all()


@pytest.mark.reliability("tracks", "a genome of N alone; two inputs; outputs that cannot be cut", "one sentence each")
@pytest.mark.parametrize(
    ("module", "settings", "said"),
    [
        (PredictModule(Net("dict"), identity="a"), {}, "returns a dict"),
        (PredictModule(Net("tracks")), {"tile": 28}, r"shape \(\d+, 2, 26\): expected a number for each window"),
        (
            PredictModule(Net("profile")),
            {},
            r"26\), which can be 26 positions .* or 26 numbers .*positions=1 or 'none'",
        ),
        (PredictModule(Net("tracks last")), {}, r"26, 2\), which can be 26 positions .* or 26 tracks of 2 bins"),
        (PredictModule(Net("tracks")), {"positions": 3}, "positions is 3: expected 1 or 2"),
        (DeepLiftShapModule(Net()), {"positions": 1}, "expected it for predictions alone"),
        (PredictModule(Net(), inputs=2), {}, "inputs is 2: expected 1"),
        (PredictModule(Net()), {"regions": pd.DataFrame({"chrom": ["chr2"], "start": [120], "end": [130]})}, "nothing"),
        (3, {}, "expected a torch.nn.Module"),
    ],
)
def test_bad_calls(fasta, tmp_path, module, settings, said):
    with pytest.raises(sl.InputError, match=said):
        tracked(module, fasta, tmp_path / "out", **settings)
    assert not list(tmp_path.glob("out/*.bw"))


@pytest.mark.reliability("tracks", "a full disk while the bigWig file is written", "an error; the same call continues")
def test_a_full_disk(fasta, tmp_path, monkeypatch):
    from seqlight.formats.bigwig_file import BigWigFile

    def full(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(BigWigFile, "finish", full)
        with pytest.raises(sl.errors.DiskError, match=r"predictions.bw could not be written .* make room"):
            tracked(PredictModule(Net("profile")), fasta, tmp_path / "out", positions=1)
    assert not [one for one in (tmp_path / "out").iterdir() if ".bw" in one.name]
    tracked(PredictModule(Net("profile")), fasta, tmp_path / "out", positions=1)
    assert (tmp_path / "out" / "predictions.bw").exists()


@pytest.mark.reliability(
    "tracks", "a process is killed while it writes the bigWig file", "the next start removes what it left"
)
def test_what_a_killed_process_left_is_removed(fasta, tmp_path):
    (tmp_path / "out").mkdir()
    left = [tmp_path / "out" / f"{name}.bw.4194305.partial" for name in ("predictions", "attributions.target_3")]
    for one in [*left, tmp_path / "out" / "mine.bw.4194305.partial"]:
        one.touch()
    tracked(PredictModule(Net("profile")), fasta, tmp_path / "out", positions=1, chroms=["chrM"])
    assert [one.name for one in (tmp_path / "out").glob("*.partial")] == ["mine.bw.4194305.partial"]


def test_the_model_is_given_back(fasta, tmp_path, ours):
    module = ours()
    module.model.train()
    module.model.conv.weight.requires_grad_(False)
    before = {name: one.clone() for name, one in module.model.state_dict().items()}
    tracked(module, fasta, tmp_path / "out", chroms=["chrM"])
    assert module.model.training
    assert not module.model.conv.weight.requires_grad
    assert all(torch.equal(one, before[name]) for name, one in module.model.state_dict().items())
    assert module.identity is None
