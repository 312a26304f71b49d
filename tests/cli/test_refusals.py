from __future__ import annotations

import errno

import pytest

from seqlight.cli.refusals import ADVICE, REQUIRED, describe_error, describe_mismatch
from seqlight.cli.refusals import TRIED as UNION_TRIED
from seqlight.errors import DiskError, InputError, UnsupportedOperation
from seqlight.targets import Column, parse
from seqlight.targets.output_entries import require_one_tensor


@pytest.mark.parametrize("number", sorted(ADVICE), ids=errno.errorcode.get)
def test_errors_of_the_system_say_what_to_do(number):
    said = describe_error(OSError(number, "words", "a path"))
    assert said == f"a path: words; {ADVICE[number]}."


def test_our_errors_are_told_as_they_are():
    assert describe_error(InputError("two\n  lines.")) == "two lines."
    assert describe_error(FileNotFoundError("no a.ckpt.")) == "no a.ckpt; check the path."
    assert describe_error(DiskError("no room: make some.", errno.ENOSPC)) == "no room: make some."


@pytest.mark.parametrize(
    ("output", "option"),
    [((1, 2), "column(0, head=0)"), ({"counts": 1}, "column(0, head=counts)"), ({"a b": 1}, 'column(0, head="a b")')],
)
def test_what_to_do_with_several_outputs_is_told_in_words_of_the_command_line(output, option):
    with pytest.raises(UnsupportedOperation, match="lambda y: y") as refused:
        require_one_tensor(output)
    said = describe_error(refused.value)
    assert f"such as --target '{option}', " in said
    assert "lambda" not in said
    assert parse(option) == Column(0, head=next(iter(output)) if isinstance(output, dict) else 0)


@pytest.mark.parametrize("error", [ValueError("a\nb"), RuntimeError(), OSError("odd"), MemoryError()])
def test_an_error_that_was_not_foreseen_has_its_class(error):
    said = describe_error(error)
    assert said.startswith(type(error).__name__)
    assert "--debug shows the traceback" in said
    assert "\n" not in said


TRIED = (
    'Parser key "data":\n\n  - Expected a path but {path} either not accessible or invalid\n'
    "  - Does not validate against any of the Union subtypes\n"
    "  Subtypes: [<class 'seqlight.lit.data.SequenceDataModule'>, <class 'NoneType'>]\n  Errors:\n"
    "    - Problem with given class_path '{path}':\n        {reason}\n    - Expected a <class 'NoneType'>\n"
    "  Given value type: <class 'str'>\n  Given value: {path}"
)


@pytest.mark.parametrize("reason", ["No module named 'mine'", "module 'mine' has no attribute 'Data'"])
def test_a_class_that_is_not_found_is_named_with_where_it_was_looked_for(reason):
    said = describe_mismatch(ValueError(TRIED.format(path="mine.Data", reason=reason)))
    assert said == (
        f"--data is mine.Data, which was not found ({reason}): expected package.module.Class, of a file in the "
        "current folder or an installed package"
    )


def test_a_class_that_cannot_be_made_is_named_with_the_reason():
    said = describe_mismatch(ValueError(TRIED.format(path="mine.Data", reason="Validation failed: no key.")))
    assert said == "--data is mine.Data, which cannot be made (Validation failed: no key)"


def test_a_class_that_lacks_arguments_is_named_with_them():
    said = describe_mismatch(ValueError(TRIED.format(path="mine.Data", reason=f"the following {REQUIRED} x, y, z")))
    assert said == "--data is mine.Data, which needs x, y and z"


def test_a_class_that_cannot_be_made_when_a_training_begins_is_named():
    said = describe_error(ValueError(TRIED.format(path="mine.Data", reason="there is no file 'a.fa': expected FASTA.")))
    assert said == "mine.Data cannot be made: there is no file 'a.fa': expected FASTA."


@pytest.mark.parametrize("depth", [1, 2])
def test_what_a_class_refuses_is_found_among_the_words_of_the_parser(depth):
    said = "\n  - ".join(
        [UNION_TRIED] * depth + ["Expected a <class 'tuple'>. Got value: a.", "there is no file a.fa."]
    )
    assert describe_error(ValueError(f"{said}\n  - Expected a <class 'NoneType'>")) == "there is no file a.fa."
    unclear = describe_error(ValueError(f"{UNION_TRIED}\n  - Expected a <class 'int'>. Got value: a."))
    assert unclear.startswith("ValueError: ")


def test_what_an_argument_of_a_class_cannot_be_is_told():
    inner = (
        'Parser key "references":\n\n          - Expected a path but {path} either not accessible or invalid\n'
        "          - Type Callable expects a function: module 'mine' has no attribute 'nope'"
    )
    said = describe_mismatch(ValueError(TRIED.format(path="mine.Data", reason=inner)))
    assert said.startswith("--data is mine.Data, which cannot take its references (Expected a path but ")
    assert said.endswith("module 'mine' has no attribute 'nope')")
    one = "Parser key \"width\":\n          Expected a <class 'int'>. Got value: a"
    said = describe_mismatch(ValueError(TRIED.format(path="mine.Data", reason=one)))
    assert said == "--data is mine.Data, which cannot take its width (Expected a <class 'int'>. Got value: a)"


@pytest.mark.reliability(
    "the command line",
    "a class of the YAML file that refuses its arguments, and a large file of regions as --config",
    "one sentence: that of the class, or what was wanted in place of the file",
)
def test_a_file_that_is_no_configuration_is_not_printed_in_whole():
    tried = ValueError(f"{UNION_TRIED}\nSubtypes: ...\n- weight is -1")
    tried.__cause__ = InputError("weight is -1: expected 0 or more.")
    assert describe_error(tried) == "weight is -1: expected 0 or more."
    said = describe_mismatch(ValueError("Unexpected config: " + "chr1\t10\t20\n" * 1000))
    assert said.startswith("--config is no file of options (chr1 10 20 chr1")
    assert len(said) < 200


def test_what_the_parser_says():
    union = (
        'Parser key "target":\n  Does not validate against any of the Union subtypes\n'
        "  Subtypes: [<class 'int'>, list[int], dict[str, typing.Any], <class 'NoneType'>]\n  Errors:\n"
        "    - Expected a <class 'int'>\n    - Expected a <class 'int'>. Got value: a\n"
        "  Given value type: <class 'list'>\n  Given value: ['a', 'b']"
    )
    assert describe_mismatch(ValueError(union)) == (
        "--target is \"['a', 'b']\": expected a whole number or a list or names with values (NAME=VALUE)"
    )
    for text, says in (
        ("the following arguments are required: --data", "--data is missing"),
        ("the following arguments are required: --data, old", "--data and OLD are missing"),
        ("Option 'oftener' is not accepted", "Option 'oftener' is not accepted"),
        ('Parser key "config":\n  No file.', "--config: No file"),
        (
            "Parser key \"out\":\n  'utf-8' codec can't encode character '\\udce9': surrogates not allowed",
            "--out is no text in UTF-8: expected a name in it; rename the file or folder",
        ),
        (
            "Parser key \"strands\":\n  Expected a typing.Literal['forward', 'both']. Got value: Both",
            "--strands is 'Both': expected forward or both",
        ),
        (
            'Parser key "positions":\n  Does not validate against any of the Union subtypes\n'
            "  Subtypes: [<class 'int'>, typing.Literal['none'], <class 'NoneType'>]\n  Errors:\n"
            "    - Expected a <class 'int'>\n  Given value type: <class 'str'>\n  Given value: x",
            "--positions is 'x': expected a whole number or none",
        ),
    ):
        assert describe_mismatch(ValueError(text)) == says
