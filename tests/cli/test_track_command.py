import numpy as np
import pytest
import torch
from torch import nn

import seqlight as sl
from bigwig_values import read_bigwig
from seqlight.cli.track_command import track_command
from toy_genome import draw, write_genome

QUIET = {"accelerator": "cpu", "devices": 1, "quiet": True}


class Net(nn.Module):
    """Two numbers for a window of 40; or, with `profile`, what a model of profiles returns."""

    def __init__(self, profile=False, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.profile, self.conv, self.head = profile, nn.Conv1d(4, 3, 5), nn.Linear(3, 2)

    def forward(self, X):
        y = torch.relu(self.conv(X))
        return {"profile": y[:, :2], "counts": y.mean(dim=2)} if self.profile else self.head(y.mean(dim=2))


MODEL = f"{__file__}:Net"


@pytest.fixture
def fasta(tmp_path):
    folder = tmp_path / "genome"
    folder.mkdir()
    return write_genome(folder / "toy.fa", {"chr1": draw(150, 1, "ACGT"), "chr2": draw(90, 2, "ACGT")})


def test_a_genome_becomes_a_track(fasta, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "attributions.target_0.bw").touch()  # of an earlier run, and not of this one
    track_command(MODEL, fasta, 40, tmp_path / "out", tile=20, n_shuffles=4, **QUIET)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == str(tmp_path / "out" / "attributions.bw")
    assert said[1].startswith("13 windows; ")
    found = read_bigwig(tmp_path / "out" / "attributions.bw")
    assert not any(np.isnan(one).any() for one in found.values())
    assert [one.name for one in fasta.parent.iterdir()] == ["toy.fa"]
    assert sl.open_results(tmp_path / "out")["track"].shape == (13, 20)


def test_regions_several_targets_and_strands(fasta, tmp_path):
    bed = tmp_path / "a.bed"
    bed.write_text("chr2\t10\t50\n")
    options = {"regions": bed, "n_shuffles": 4, "strands": "both"} | QUIET
    track_command(MODEL, fasta, 40, tmp_path / "out", target=[0, 1], **options)
    both = read_bigwig(tmp_path / "out" / "attributions.target_1.bw")["chr2"]
    assert np.isfinite(both[10:50]).all()
    assert np.isnan(np.delete(both, np.arange(10, 50))).all()
    one = {}
    for strands in ("forward", "reverse"):
        track_command(MODEL, fasta, 40, tmp_path / strands, target=1, **options | {"strands": strands})
        one[strands] = read_bigwig(tmp_path / strands / "attributions.bw")["chr2"]
    np.testing.assert_allclose(both, (one["forward"] + one["reverse"]) / 2, rtol=1e-4, atol=1e-6)


def test_checkpoints_are_an_ensemble(fasta, tmp_path):
    for seed in (1, 2):
        torch.save(Net(seed=seed).state_dict(), tmp_path / f"{seed}.pt")
    options = {"chroms": ["chr2"], "n_shuffles": 4} | QUIET
    found = {}
    for name, checkpoint in [
        ("a", [tmp_path / "1.pt", tmp_path / "2.pt"]),
        ("b", tmp_path / "1.pt"),
        ("c", tmp_path / "2.pt"),
    ]:
        track_command(MODEL, fasta, 40, tmp_path / name, checkpoint=checkpoint, **options)
        found[name] = read_bigwig(tmp_path / name / "attributions.bw")["chr2"]
    np.testing.assert_allclose(found["a"], (found["b"] + found["c"]) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ({"head": "profile"}, ["predictions.target_0.bw", "predictions.target_1.bw"]),
        ({"head": "profile", "target": 1}, ["predictions.bw"]),
        ({"target": "column(0, head=counts)"}, ["predictions.bw"]),
        ({"head": "profile", "target": 1, "positions": 2, "strands": "both"}, ["predictions.bw"]),
        ({"target": "column(0, head=counts)", "positions": 2, "shifts": [0, 1]}, ["predictions.bw"]),
        (
            {"head": "counts", "positions": "none", "tile": 3, "chroms": ["chr1"]},
            [f"predictions.target_{i}.bw" for i in range(3)],
        ),
    ],
)
def test_predictions(fasta, tmp_path, options, files):
    init = {"init_args": {"profile": True}, "what": "predictions"}
    track_command(MODEL, fasta, 40, tmp_path / "out", **{"tile": 20} | init | options | QUIET)
    assert sorted(one.name for one in (tmp_path / "out").glob("*.bw")) == files
    assert np.isfinite(read_bigwig(tmp_path / "out" / files[0])["chr1"]).all()


@pytest.mark.reliability(
    "tracks", "options that do not go together on the command line", "one sentence that says which"
)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"what": "predictions", "strands": "both"}, "expected --positions"),
        ({"what": "predictions", "tile": 2}, r"2\), which can be 2 positions .* \(--positions on the command line\)"),
        ({"what": "predictions", "target": [0, 1]}, "several targets are for attributions, .* or of its --head"),
        ({"what": "predictions", "target": 7}, "track 7 is asked for, and the output has shape"),
        ({"what": "predictions", "target": "counts", "head": 1}, "takes its head in brackets"),
        ({"head": 1}, "head is for predictions"),
        ({"tile": 50}, "tile is 50 and window 40"),
        ({"chroms": ["chr3"]}, "'chr3' is not in the genome toy.fa"),
        ({"target": "cuonts"}, "did you mean 'counts'"),
    ],
)
def test_bad_options(fasta, tmp_path, options, said):
    with pytest.raises(sl.InputError, match=said):
        track_command(MODEL, fasta, 40, tmp_path / "out", **options, **QUIET)
    assert not list(tmp_path.glob("out/*.bw"))
