from importlib.metadata import entry_points

import pytest

from seqlight.cli.foreign_names import COMMANDS, OPTIONS, names_here
from seqlight.cli.main import main
from seqlight.cli.parameter_types import type_hints


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["attribute", "--fasta", "hg38.fa"], "there is no option --fasta; here it is --data or --genome; "),
        (["attribute", "--processes", "2"], "there is no option --processes; here it is --devices; "),
        (["track", "--Bed", "peaks.bed"], "there is no option --Bed; here it is --regions; "),
        (["deep-lift-shap"], "there is no command 'deep-lift-shap'; here it is `seqlight attribute`; "),
    ],
)
def test_what_other_programs_call_it_is_told(capsys, words, says):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_all_of_ours_exist():
    commands = {one.name: one for one in entry_points(group="seqlight.commands")}
    assert set(COMMANDS) <= set(commands)
    options = set()
    for name in ("attribute", "track", "seqlets"):
        options |= set(type_hints(commands[name].load()))
    assert set(OPTIONS) <= options
    assert not [word for word in commands if names_here(word, commands, COMMANDS)]
