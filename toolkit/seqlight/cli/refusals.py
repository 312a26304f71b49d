"""What a command says when it ends early: one line, whatever went wrong."""

from __future__ import annotations

import errno
import re
import textwrap
from pathlib import Path

from seqlight.cli.option_groups import has_group
from seqlight.errors import SeqlightError, listed

DEBUG = "the same command with --debug shows the traceback"
ADVICE = {
    errno.ENOENT: "check the path",
    errno.EACCES: "expected a path that may be read and written",
    errno.EPERM: "expected a path that may be read and written",
    errno.EROFS: "expected a folder that can be written",
    errno.ENOSPC: "make room and start the same command again",
    errno.EDQUOT: "make room and start the same command again",
    errno.EFBIG: "expected a file system and limits that allow larger files",
    errno.EISDIR: "expected a file, not a folder",
    errno.ENOTDIR: "expected a folder, not a file",
    errno.EEXIST: "remove it, or choose another path",
}

CALL_OF_A_MODULE = ("nn", "modules", "module.py")

# What the parser says of a value of another type.
MISMATCH = re.compile(r"""Parser key "(?P<key>[^"]+)":\s*(?P<reason>.*)""", re.DOTALL)
GIVEN = re.compile(r".*(?:Given value|Got value): (?P<value>.*)$", re.DOTALL)  # the last of several
SUBTYPES = re.compile(r"Subtypes: [\[(](?P<types>.*?)[\])]\s*Errors:", re.DOTALL)
ONE_TYPE = re.compile(r"Expected a (?P<type><class '[^']+'>|(?:typing\.)?Literal\[[^\]]*\]|\w+)")
# A class that cannot be imported or made; its reason ends where the next type was tried.
CLASS = re.compile(r"""class_path '(?P<path>[^']+)':\s*(?P<reason>.*?)\s*(?=\n\s*- |\n\s*Given value|\Z)""", re.DOTALL)
TRIED = "Does not validate against any of the Union subtypes"
REQUIRED = "arguments are required:"
# What was tried for an argument of such a class.
ITEM = re.compile(r"^\s*- (?!Expected a <class 'NoneType'>)(?P<reason>.*)$", re.MULTILINE)
# What the parser says of a file that it cannot read, with all that is in it.
NO_CONFIG = re.compile(r"(?:Unexpected config|Problems parsing config): *(?P<what>.*)", re.DOTALL)
MOST_QUOTED = 80
NOT_FOUND = ("No module named", "has no attribute")


def one_line(text: object) -> str:
    """Return a text without line breaks and runs of spaces."""
    return " ".join(str(text).split())


def describe_error(error: BaseException) -> str:
    """Return what an error says, in one line; one that was not foreseen has its class, and how to find out more.

    Examples
    --------
    >>> from seqlight.errors import InputError
    >>> describe_error(InputError("rows is 0: expected 1 or more."))
    'rows is 0: expected 1 or more.'
    >>> describe_error(FileNotFoundError(2, "No such file or directory", "X.npy"))
    'X.npy: No such file or directory; check the path.'
    >>> describe_error(KeyError("x"))
    "KeyError: 'x' (not foreseen; the same command with --debug shows the traceback)"
    """
    if isinstance(error, SeqlightError):
        return one_line(error.typed or error)
    if isinstance(error.__cause__, SeqlightError):
        return describe_error(error.__cause__)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        advice = ADVICE.get(error.errno or 0)
        return one_line(f"{where}{error.strerror}") + (f"; {advice}." if advice else ".")
    if (reason := _find_class_problem(str(error))) is not None:
        return reason
    said = one_line(error)
    if isinstance(error, FileNotFoundError) and said:  # of a library, in its own words
        return f"{said.rstrip('.')}; {ADVICE[errno.ENOENT]}."
    named = f"{type(error).__name__}{': ' if said else ''}{said}"
    if _comes_from_a_model(error):
        return (
            f"the model cannot be called with these data ({named}): expected sequences of the length and the letters "
            f"that it takes, and its further inputs; {DEBUG}."
        )
    return f"{named} (not foreseen; {DEBUG})"


def _find_class_problem(text: str) -> str | None:
    """Return why a class could not be made, from what the parser says of all types that it tried; None if unclear.

    A class says so in a sentence. The words of the parser have no full stop, except for those that are left out here.
    """
    if TRIED not in text:
        return None
    if problem := CLASS.search(text):
        return f"{problem['path']} cannot be made: {one_line(problem['reason']).rstrip('.')}."
    items = [line.strip().removeprefix("- ") for line in text.split("\n") if line.strip().startswith("- ")]
    return next((one for one in items if one.endswith(".") and not one.startswith("Expected a ")), None)


def _comes_from_a_model(error: BaseException) -> bool:
    """Return whether an error was raised while a module of PyTorch was called."""
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).parts[-3:] == CALL_OF_A_MODULE:
            return True
        trace = trace.tb_next
    return False


def describe_mismatch(error: Exception) -> str:
    """Return what is wrong with the options, from the words of jsonargparse, which take many lines.

    Examples
    --------
    >>> describe_mismatch(ValueError("the following arguments are required: --model, --data"))
    '--model and --data are missing'
    """
    text = str(error)
    if unread := NO_CONFIG.match(text):
        what = textwrap.shorten(one_line(unread["what"]), MOST_QUOTED) or "nothing to read"
        return f"--config is no file of options ({what}): expected YAML, with a line for each, NAME: VALUE"
    found = MISMATCH.search(text)
    if found is not None and (problem := CLASS.search(found["reason"])):
        if inner := MISMATCH.fullmatch(problem["reason"]):
            behind = found["reason"][problem.end() :].partition("Given value type:")[0]
            reason = one_line(inner["reason"] or "; ".join(one["reason"] for one in ITEM.finditer(behind)))
            return f"--{found['key']} is {problem['path']}, which cannot take its {inner['key']} ({reason.rstrip('.')})"
        return _describe_class(found["key"], problem["path"], one_line(problem["reason"]).rstrip("."))
    if REQUIRED in text:
        names = [_typed(one.removeprefix("--")) for one in _required(text)]
        return f"{listed(names)} {'are' if len(names) > 1 else 'is'} missing"
    if found is None:
        return one_line(text).rstrip(".")
    if "surrogates not allowed" in text:  # how Python keeps bytes of a name that are no UTF-8
        return f"--{found['key']} is no text in UTF-8: expected a name in it; rename the file or folder"
    reason, given = found["reason"], GIVEN.search(text)
    types = SUBTYPES.search(reason) or ONE_TYPE.search(reason)
    if given is None or types is None:
        return f"--{found['key']}: {one_line(reason).rstrip('.')}"
    wanted = _in_words(types[1])
    return f"--{found['key']} is {one_line(given['value'])!r}: expected {wanted}"


def _describe_class(key: str, path: str, reason: str) -> str:
    """Return why a class cannot be used, and where it was looked for."""
    if REQUIRED in reason:
        return f"--{key} is {path}, which needs {listed(_required(reason))}"
    if not any(one in reason for one in NOT_FOUND):
        return f"--{key} is {path}, which cannot be made ({reason})"
    return (
        f"--{key} is {path}, which was not found ({reason}): expected package.module.Class, of a file in the current "
        "folder or an installed package"
    )


def _required(text: str) -> list[str]:
    return [one.strip() for one in text.partition(REQUIRED)[2].split(",")]


def _typed(name: str) -> str:
    return f"--{name}" if has_group(name) or "." in name else name.upper()


def _in_words(types: str) -> str:
    names = {
        "int": "a whole number", "float": "a number", "str": "a word", "bool": "true or false", "Path": "a path",
        "dict": "names with values (NAME=VALUE)", "list": "a list",
    }  # fmt: skip
    said = []
    for name in re.findall(r"<class '(?:\w+\.)*(\w+)'>|(list|dict)\[|(Literal\[[^\]]*\])", types):
        word = next(filter(None, name))
        if word.startswith("Literal"):
            said += re.findall(r"'([^']*)'", word)
        elif word != "NoneType":
            said.append(names.get(word, word))
    return " or ".join(dict.fromkeys(said)) or one_line(types)
