import html
import json
import re
import shlex

import pytest

import seqlight as sl
from results_folders import attribution_arrays, loci_of, run_predictions, write_results
from seqlight.cli.main import main
from seqlight.cli.report_command import report_command
from seqlight.cli.seqlets_command import seqlets_command


def test_it_says_where_the_page_is(tmp_path, capsys):
    folder = write_results(tmp_path / "run", attribution_arrays(5), loci_of(5)).path
    report_command(folder)
    assert capsys.readouterr().out.splitlines() == [
        f"page: {folder}/report.html",
        f"It shows seqlets too once they are called: seqlight seqlets {folder}",
    ]
    assert (folder / "report.html").exists()


@pytest.mark.reliability(
    "command line", "a folder whose name has spaces, quotes or a $", "the commands that are suggested can be pasted"
)
def test_commands_that_are_suggested_can_be_pasted(tmp_path, capsys):
    folder = write_results(tmp_path / "it's my $HOME run", attribution_arrays(5), loci_of(5)).path
    report_command(folder, top=1, sampled=0)
    seqlets_command(folder)
    page = html.unescape((folder / "report.html").read_text())
    (folder / "shard-000000.npz").unlink()
    with pytest.raises(sl.ResultsError) as refused:
        report_command(folder, top=1, sampled=0)
    said = capsys.readouterr().out + page + str(refused.value)
    commands = re.findall(r"(seqlight (?:seqlets|motifs|report|attribute) [^\n;`<]*)", said)
    assert len(commands) >= 6
    assert [one for one in commands if str(folder) not in shlex.split(one)] == []


def test_a_target_is_named_as_it_was_explained(tmp_path, capsys):
    folder = write_results(tmp_path / "run", attribution_arrays(5, targets=2)).path
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["method"]["target"] = ["profile(head=0)", "counts(head=1)"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    few = {"top": 1, "sampled": 0}
    report_command(folder, target="counts( head = 1 )", **few)
    assert capsys.readouterr().out.startswith(f"page: {folder}/report.target_1.html\n")
    seqlets_command(folder, target="profile(head=0)")
    assert (folder / "seqlets.target_0.tsv").exists()
    listed = r"profile\(head=0\) as 0, counts\(head=1\) as 1"
    for target, said in (
        ("cuonts", f"explains {listed}"),
        ("counts", f"explains {listed}"),
        (2, rf"0 to 1 \({listed}\)"),
    ):
        with pytest.raises(sl.InputError, match=said):
            report_command(folder, target=target, **few)


def test_it_writes_where_it_is_told(tmp_path, capsys):
    folder = run_predictions(tmp_path / "run").path
    before = sorted(folder.iterdir())
    report_command(folder, out=tmp_path / "page.html", title="My run")
    assert capsys.readouterr().out == f"page: {tmp_path}/page.html\n"
    assert "<h1>My run</h1>" in (tmp_path / "page.html").read_text()
    assert sorted(folder.iterdir()) == before
    main(["report", str(folder), "--out", f"{tmp_path}/new/pages/"])
    assert capsys.readouterr().out == f"page: {tmp_path}/new/pages/report.html\n"
    report_command(folder, out=str(tmp_path / "new"))
    assert (tmp_path / "new" / "report.html").exists()


def test_an_interrupted_run_is_refused_with_the_command_that_goes_on(tmp_path):
    folder = write_results(tmp_path / "run", attribution_arrays(11)).path
    (folder / "shard-000001.npz").unlink()
    with pytest.raises(sl.ResultsError, match="start the command that began it, `seqlight attribute"):
        report_command(folder)
