"""The commands ``seqlight fit``, ``validate`` and ``test``: LightningCLI, as in ``python -m seqlight.lit``."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from seqlight.cli.training_help import training_help

if TYPE_CHECKING:
    from lightning.pytorch.cli import LightningCLI

# What the parser says where a class is given for all that a training needs.
WHOLE_MODEL = re.compile(r"--model: Unable to load config '([^']*)'")
NETWORK = (
    "expected a network as --model.model, package.module.Class; a LightningModule of your own is trained by your script"
)
# What the parser says of an option that it does not have.
UNKNOWN = re.compile(r"unrecognized arguments: --(\w+)")
FULL_HELP = ("--help-all", "--help_all")


def fit_command(*words: str) -> None:
    """Train any model from a YAML file, with every option of LightningCLI.

    Example:
        seqlight fit --config configs/train.yaml --trainer.max_epochs 20
        seqlight fit --config configs/genome.yaml --ckpt_path last
    """
    trained = _run("fit", words)
    if trained is not None:
        _say_what_next(trained)


def validate_command(*words: str) -> None:
    """Measure a trained model on the validation rows of a YAML file.

    Example:
        seqlight validate --config configs/train.yaml --ckpt_path best.ckpt
    """
    _run("validate", words)


def test_command(*words: str) -> None:
    """Measure a trained model on the test rows of a YAML file.

    Example:
        seqlight test --config configs/train.yaml --ckpt_path best.ckpt
    """
    _run("test", words)


def _run(subcommand: str, words: tuple[str, ...]) -> LightningCLI | None:
    """Give the words to LightningCLI, and return it; None if only the help was asked for."""
    if {"-h", "--help"} & set(words):
        print(training_help(subcommand), end="")
        return None
    words = tuple("--help" if one in FULL_HELP else one for one in words)
    from jsonargparse import ArgumentError

    from seqlight.cli.refusals import describe_mismatch
    from seqlight.cli.usage import UsageError
    from seqlight.lit.__main__ import cli
    from seqlight.lit.training_cli import find_option

    strict = {"exit_on_error": False, "allow_abbrev": False}
    try:
        with warnings.catch_warnings():
            # It wants to take the words from the process itself.
            warnings.filterwarnings("ignore", "LightningCLI's args parameter")
            return cli([subcommand, *words], parser_kwargs={"prog": "seqlight", **strict, subcommand: strict})
    except ArgumentError as error:
        # The parser calls an option of a subcommand "fit.option".
        reason = describe_mismatch(ValueError(re.sub(rf'(?<=[ "]){subcommand}\.', "", str(error))))
        if wrong := WHOLE_MODEL.match(reason):
            reason = f"--model is {wrong[1]}, which is no YAML file: {NETWORK}"
        elif (unknown := UNKNOWN.match(reason)) and (place := find_option(unknown[1])):
            reason = f"there is no option --{unknown[1]}; here it is --{place}"
        raise UsageError(f"{reason}; `seqlight {subcommand} --help` lists the options") from error


def _say_what_next(trained: LightningCLI) -> None:
    """Print where the checkpoints of a training are, and the command that explains the model."""
    from seqlight.cli.console import process_number
    from seqlight.cli.trained_model import attribute_line, checkpoint_lines

    if process_number():
        return  # the first process says it
    lines, checkpoint = checkpoint_lines(trained.trainer.checkpoint_callbacks)
    print("\n".join(lines))
    if checkpoint is not None:
        model = trained.config["fit"]["model"]["model"].as_dict()
        print(f"next: {attribute_line(model, checkpoint)}")
