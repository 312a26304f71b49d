"""The commands ``seqlight fit``, ``validate`` and ``test``: LightningCLI, as in ``python -m seqlight.lit``."""

from __future__ import annotations

import re
import warnings


def fit_command(*words: str) -> None:
    """Train any model from a YAML file, with every option of LightningCLI.

    Example:
        seqlight fit --config configs/train.yaml --trainer.max_epochs 20
        seqlight fit --config configs/genome.yaml --ckpt_path last
    """
    _run("fit", words)


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


def _run(subcommand: str, words: tuple[str, ...]) -> None:
    """Give the words to LightningCLI."""
    from jsonargparse import ArgumentError

    from seqlight.cli.refusals import describe_mismatch
    from seqlight.cli.usage import UsageError
    from seqlight.lit.__main__ import cli

    strict = {"exit_on_error": False, "allow_abbrev": False}
    try:
        with warnings.catch_warnings():
            # It wants to take the words from the process itself.
            warnings.filterwarnings("ignore", "LightningCLI's args parameter")
            cli([subcommand, *words], parser_kwargs={"prog": "seqlight", **strict, subcommand: strict})
    except ArgumentError as error:
        # The parser calls an option of a subcommand "fit.option".
        reason = describe_mismatch(ValueError(re.sub(rf'(?<=[ "]){subcommand}\.', "", str(error))))
        raise UsageError(f"{reason}; `seqlight {subcommand} --help` lists the options") from error
