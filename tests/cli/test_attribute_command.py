from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from jsonargparse import auto_cli

import seqlight as sl
from seqlight.cli import main as command_line
from seqlight.cli import runs
from seqlight.cli.attribute_command import attribute_command as attribute
from seqlight.cli.predict_command import predict_command as predict
from seqlight.cli.seqlets_command import seqlets_command

QUIET = {"accelerator": "cpu", "devices": 1}


@pytest.fixture
def X(tmp_path):
    X = sl.random_one_hot((7, 4, 20), random_state=0).numpy()
    np.save(tmp_path / "X.npy", X)
    return X


def conv(tmp_path):
    torch.manual_seed(5)
    model = torch.nn.Conv1d(4, 2, 20)
    torch.save(model.state_dict(), tmp_path / "a.pt")
    return model, {"in_channels": 4, "out_channels": 2, "kernel_size": 20}


def test_predict(X, tmp_path, capsys):
    model, arguments = conv(tmp_path)
    predict(
        "torch.nn.Conv1d",
        tmp_path / "X.npy",
        tmp_path / "out",
        checkpoint=tmp_path / "a.pt",
        init_args=arguments,
        **QUIET,
    )
    expected = model(torch.from_numpy(X).float()).detach()
    np.testing.assert_allclose(sl.open_results(tmp_path / "out")["predictions"], expected, atol=1e-6)
    assert "Results of 7 rows in" in capsys.readouterr().out


def test_results_keep_the_letters_of_arrays(X, tmp_path, capsys):
    _, arguments = conv(tmp_path)
    job = {"checkpoint": tmp_path / "a.pt", "init_args": arguments}
    for alphabet, letters in [("DNA", "ACGT"), ("TGCA", "TGCA"), ("RNA", "ACGU")]:
        out = tmp_path / alphabet
        attribute("torch.nn.Conv1d", tmp_path / "X.npy", out, alphabet=alphabet, n_shuffles=2, **job, **QUIET)
        assert capsys.readouterr().out.splitlines()[-1] == f"next: seqlight seqlets {out}; seqlight report {out}"
        assert sl.open_results(out).alphabet == letters
    seqlets_command(tmp_path / "TGCA")
    assert capsys.readouterr().out.endswith(f"seqlight report {tmp_path / 'TGCA'}\n")
    texts = [line.strip() for line in (tmp_path / "TGCA" / "seqlets.fa").read_text().splitlines()[1::2]]
    whole = sl.characters(torch.from_numpy(X), alphabet="TGCA")
    assert texts
    assert all(any(text in one for one in whole) for text in texts)
    seqlets_command(tmp_path / "TGCA", alphabet="ACGT")
    assert capsys.readouterr().out.endswith(f"seqlight report {tmp_path / 'TGCA'} --alphabet ACGT\n")


def test_the_same_run_with_other_letters_keeps_those(X, tmp_path, capsys):
    _, arguments = conv(tmp_path)
    job = {"checkpoint": tmp_path / "a.pt", "init_args": arguments}
    for alphabet, letters in [("DNA", "ACGT"), ("RNA", "ACGU")]:
        predict("torch.nn.Conv1d", tmp_path / "X.npy", tmp_path / "out", alphabet=alphabet, **job, **QUIET)
        assert sl.open_results(tmp_path / "out").alphabet == letters


def test_attribute(X, tmp_path):
    model, arguments = conv(tmp_path)
    attribute(
        "torch.nn.Conv1d",
        tmp_path / "X.npy",
        tmp_path / "out",
        target=[1, 0],
        n_shuffles=4,
        random_state=3,
        checkpoint=tmp_path / "a.pt",
        init_args=arguments,
        hypothetical=True,
        **QUIET,
    )
    expected = sl.attribute(model, torch.from_numpy(X), target=[1, 0], n_shuffles=4, random_state=3, device="cpu")
    found = sl.open_results(tmp_path / "out")
    np.testing.assert_allclose(found["attributions"], expected.attributions, atol=1e-6)
    np.testing.assert_array_equal(found["sequences"], X)


@pytest.mark.reliability("command line", "a checkpoint that holds a whole model", "refused, and read with --trusted")
@pytest.mark.parametrize("command", [predict, attribute])
def test_a_checkpoint_of_a_whole_model_must_be_trusted(X, tmp_path, command):
    model, arguments = conv(tmp_path)
    torch.save(torch.nn.Sequential(model)[0], tmp_path / "whole.pt")
    job = {"checkpoint": tmp_path / "whole.pt", "init_args": arguments, **QUIET}
    with pytest.raises(sl.InputError, match="pass trusted=True"):
        command("torch.nn.Conv1d", tmp_path / "X.npy", tmp_path / "out", **job)
    assert not (tmp_path / "out").exists()
    more = {"n_shuffles": 2} if command is attribute else {}
    command("torch.nn.Conv1d", tmp_path / "X.npy", tmp_path / "out", trusted=True, **job, **more)
    assert len(sl.open_results(tmp_path / "out")) == 7


def test_several_arrays(X, tmp_path):
    np.savez(tmp_path / "both.npz", bias=np.ones((7, 20)), X=X.astype(np.float32).sum(1))
    predict("torch.nn.CosineSimilarity", tmp_path / "both.npz", tmp_path / "out", inputs=2, **QUIET)
    assert sl.open_results(tmp_path / "out")["predictions"].shape == (7,)
    with pytest.raises(sl.InputError, match=r"both\.npz holds X, bias: expected 3 arrays"):
        predict("torch.nn.CosineSimilarity", tmp_path / "both.npz", tmp_path / "out", inputs=3, **QUIET)
    np.savez(tmp_path / "names.npz", a=X, b=X)
    with pytest.raises(sl.InputError, match=r"names\.npz holds a, b: expected one array, or the sequences as X"):
        predict("torch.nn.ReLU", tmp_path / "names.npz", tmp_path / "out", **QUIET)
    np.savez(tmp_path / "labels.npz", y=X)
    with pytest.raises(sl.InputError, match=r"labels\.npz holds y: expected one array, or the sequences as X"):
        predict("torch.nn.ReLU", tmp_path / "labels.npz", tmp_path / "out", **QUIET)
    with pytest.raises(sl.InputError, match=r"there is no file .*a\.txt': expected FASTA, BED, npy or npz"):
        predict("torch.nn.ReLU", tmp_path / "a.txt", tmp_path / "out", **QUIET)


@pytest.mark.reliability(
    "command line",
    "data that is empty, cut short, of Python objects, or no .npy or .npz at all",
    "an error that names the file",
)
def test_data_that_cannot_be_read(X, tmp_path):
    whole = (tmp_path / "X.npy").read_bytes()
    np.save(tmp_path / "objects.npy", np.array([1, "a"], object))
    np.savez(tmp_path / "objects.npz", np.array([1, "a"], object))
    for name, content in (
        ("empty.npy", b""), ("short.npy", whole[:-10]), ("short-header.npy", whole[:20]), ("text.npy", b"ACGT\n"),
        ("objects.npy", None), ("empty.npz", b""), ("text.npz", b"ACGT\n"), ("short.npz", b"PK\x03\x04" + whole),
        ("array.npz", whole), ("objects.npz", None), ("zip.npy", (tmp_path / "objects.npz").read_bytes()),
        ("header.npy", whole.replace(b"), }", b",  }")),
    ):  # fmt: skip
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(sl.InputError, match=rf"{name} cannot be read \(.*expected arrays of numbers as numpy.save"):
            predict("torch.nn.ReLU", tmp_path / name, tmp_path / "out", **QUIET)
    assert not (tmp_path / "out").exists()


def test_importing_the_commands_is_fast():
    imports = "import sys, seqlight.cli.attribute_command, seqlight.cli.predict_command"
    code = f"{imports}; assert not {{'torch', 'lightning', 'numpy'}} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("asked", ["auto", "3"])
def test_batch_sizes_are_numbers_or_auto(asked, X, tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(runs, "run_command", lambda module, *_, batch_size, **__: sizes.append((module, batch_size)))
    arguments = ["--model=torch.nn.Conv1d", f"--data={tmp_path / 'X.npy'}", f"--out={tmp_path / 'out'}"]
    arguments.append('--init_args={"in_channels": 4, "out_channels": 2, "kernel_size": 20}')
    for command, more in (
        (attribute, [f"--pairs={asked}", f"--batch_size={asked}"]),
        (predict, [f"--batch_size={asked}"]),
        (predict, []),
    ):
        auto_cli(command, args=[*arguments, *more], as_positional=False)
    expected = asked if asked == "auto" else 3
    assert [one for _, one in sizes] == [expected, expected, "auto"]
    assert sizes[0][0].batch_size == expected


@pytest.mark.reliability(
    "command line",
    "a precision, batch size or device that cannot be used, such as `--accelerator gpu` where there is none",
    "one line that names the option and says what was expected",
)
@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("precision", "bf16", "precision is 'bf16': expected None, for float32 to rounding, or 'tf32'."),
        ("batch_size", "big", "batch_size is 'big': expected a number or 'auto'."),
        ("batch_size", "0", "batch_size is 0: expected 1 or more."),
        ("pairs", "big", "pairs is 'big': expected a number or 'auto'."),
        ("pairs", "0", "pairs is 0: expected 1 or more."),
        ("n_shuffles", "many", "n_shuffles is 'many': expected a number or 'auto'."),
        ("devices", "0", "Lightning's Trainer refuses its arguments (`Trainer(devices=0)`"),
        ("devices", "many", "Lightning's Trainer refuses its arguments (`devices` selected with"),
        ("accelerator", "bogus", "Lightning's Trainer refuses its arguments (You selected an invalid"),
    ],
)
def test_options_that_cannot_be_used(option, value, says, X, tmp_path, monkeypatch, capsys):
    _, arguments = conv(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    options = {"model": "torch.nn.Conv1d", "data": tmp_path / "X.npy", "out": tmp_path / "out", "accelerator": "cpu"}
    options |= {"checkpoint": tmp_path / "a.pt", "arguments": json.dumps(arguments), option: value}
    with pytest.raises(SystemExit) as end:
        command_line.main(["attribute", *(f"--{name}={given}" for name, given in options.items())])
    assert end.value.code == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"seqlight: {says}")


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
def test_an_accelerator_that_is_not_there(X, tmp_path):
    _, arguments = conv(tmp_path)
    with pytest.raises(sl.InputError, match=r"Lightning's Trainer refuses its arguments \(No supported gpu"):
        attribute("torch.nn.Conv1d", tmp_path / "X.npy", tmp_path / "out", init_args=arguments, accelerator="gpu")


def test_the_help_says_what_limits_memory(capsys, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    command_line.main(["attribute", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "tf32: convolutions and recurrent layers in TF32 on a GPU, faster, and some percent off; by default" in said
    assert "which limits the memory of each device" in said
    assert "it is pairs that limits the memory there" in said
