from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlight.cli.typed_options import as_value, read_options
from seqlight.cli.usage import UsageError


def command(
    model: str | dict[str, Any],
    data: Path,
    target: int | str | list[int] | dict[str, Any] = 0,
    chroms: list[str] | None = None,
    init_args: dict[str, Any] | None = None,
    n_references: int = 3,
    retry: bool = False,
    checkpoint: Path | list[Path] | None = None,
) -> None: ...


def read(*words):
    return read_options(words, command)


def test_dashes_are_underscores_and_a_switch_needs_no_value():
    found = read("--n-references", "4", "--retry", "--data=a-b").values
    assert found == {"n_references": ["4"], "retry": ["true"], "data": ["a-b"]}
    assert read("--retry", "false").values == {"retry": ["false"]}
    assert read("--retry=no").values == {"retry": ["no"]}
    assert read("--n-references", "-1").values == {"n_references": ["-1"]}


def test_words_without_an_option_are_those_without_a_default():
    assert read("mine.Net", "a.fa").values == {"model": ["mine.Net"], "data": ["a.fa"]}
    assert read("--retry", "mine.Net", "--data", "a.fa").values["model"] == ["mine.Net"]
    assert read("--model", "mine.Net", "a.fa").values["data"] == ["a.fa"]
    for words, says in (
        (("a", "b", "c"), "'c' belongs to no option"),
        (("--model", "a", "--data", "b", "c"), "'c' belongs to no option"),
    ):
        with pytest.raises(UsageError, match=says):
            read(*words)


def test_lists():
    assert read("--chroms", "chr1", "chr2", "--retry").values["chroms"] == ["chr1", "chr2"]
    assert read("--checkpoint", "a", "--checkpoint", "b").values["checkpoint"] == ["a", "b"]
    assert as_value(["1", "X"], list[str] | None) == '["1", "X"]'
    assert as_value(["chr1"], list[str] | None) == '["chr1"]'
    assert as_value(["0", "-1"], int | list[int]) == "[0, -1]"
    assert as_value(["0"], int | list[int]) == "0"
    assert as_value(["[0, 1]"], int | list[int]) == "[0, 1]"
    assert as_value(["a", "b"], int) == "b"


def test_names_with_values():
    for words in (
        ("--init-args", "width=64", "depth=[1, 2]"),
        ("--init_args.width", "64", "--arguments.depth", "[1, 2]"),
        ("--init_args=width=64", "--arguments", "depth=[1, 2]"),
    ):
        assert read(*words).parts == [("init_args", "width", "64"), ("init_args", "depth", "[1, 2]")]
    assert read("--init_args", '{"a": "b=c"}').values == {"init_args": ['{"a": "b=c"}']}
    assert read("--model.init_args.width", "3").parts == [("model", "init_args.width", "3")]
    assert read("--data", "chr=1.fa").values == {"data": ["chr=1.fa"]}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--dev", "1"], "there is no option --dev$"),
        (["--n-ref", "1"], "there is no option --n-ref; the nearest is --n_references"),
        (["--chrom", "1"], "the nearest is --chroms"),
        (["--ckpt-path", "a.ckpt"], "there is no option --ckpt-path; here it is --checkpoint"),
        (["--fasta", "a.fa"], "; here it is --data$"),
        (["--seed", "1"], "there is no option --seed$"),
        (["--retyr"], "the nearest is --retry"),
        (["--data", "--retry"], "--data needs a value"),
        (["--data"], "--data needs a value"),
        (["--config"], "--config needs a value"),
        (["--data", ""], "--data is empty: expected a path"),
        (["--checkpoint="], "--checkpoint is empty: expected a path"),
        (["--chroms", "--retry"], "--chroms needs a value"),
    ],
)
def test_what_is_refused(words, says):
    with pytest.raises(UsageError, match=says):
        read(*words)


@given(st.lists(st.text(min_size=1).filter(lambda one: not one.startswith("-")), min_size=1, max_size=4))
def test_values_are_taken_as_they_are(values):
    assert read("--chroms", *values).values["chroms"] == values
    assert read("--data", values[0]).values == {"data": values[:1]}
    assert read(f"--data={values[0]}").values == {"data": values[:1]}
