import inspect
from dataclasses import dataclass

import pytest

from seqlight.cli.attribute_command import attribute_command
from seqlight.cli.command_parser import parse
from seqlight.cli.flat_signature import flat_signature
from seqlight.cli.predict_command import predict_command
from seqlight.cli.track_command import track_command


@dataclass(frozen=True)
class Size:
    """How large.

    Args:
        width: How wide,
            in metres.
        height: How high.
    """

    width: int = 3
    height: int | None = None


SMALL = Size(1)
drawn = []


@flat_signature
def command(what: str, size: Size = SMALL, colour: str = "red") -> None:
    """Draw something.

    Args:
        what: What it is.
        colour: In which colour.
        height: How high it stands.
    """
    drawn.append((what, size, colour))


def test_a_command_is_called_with_fields():
    assert list(inspect.signature(command).parameters) == ["what", "width", "height", "colour"]
    drawn.clear()
    command("line")
    command("line", 5, colour="blue")
    command(**parse("draw", ["line", "--height", "2"], command))
    assert drawn == [("line", Size(1), "red"), ("line", Size(5), "blue"), ("line", Size(1, 2), "red")]
    with pytest.raises(TypeError, match="size"):
        command("line", size=Size())


def test_the_help_of_a_field_is_that_of_the_command_if_it_has_one(capsys):
    with pytest.raises(SystemExit):
        parse("draw", ["--help"], command)
    shown = " ".join(capsys.readouterr().out.split())
    assert "--width WIDTH How wide, in metres. (default: 1)" in shown
    assert "How high it stands." in shown
    assert "How high." not in shown
    assert shown.count("In which colour.") == 1


@pytest.mark.parametrize("name", ["attribute", "predict", "track"])
def test_each_option_of_a_command_is_described(name, capsys):
    of = {"attribute": attribute_command, "predict": predict_command, "track": track_command}[name]
    documented = inspect.getdoc(of).partition("\nArgs:\n")[2]
    names = [line.partition(":")[0].strip() for line in documented.splitlines() if not line.startswith("     ")]
    assert sorted(names) == sorted(inspect.signature(of).parameters)
