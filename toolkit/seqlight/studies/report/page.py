"""The page of a study: what it says in sentences, pictures and tables, from what is stored, and how to run it again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from seqlight.errors import InputError
from seqlight.report.blocks import Block, Callout, Code, Fold, Picture, Points, Section, Text, TextTable, Tone
from seqlight.report.page import write_page
from seqlight.studies.report.figures import (
    NARROW_WIDTH,
    plot_likeness_and_time,
    plot_misses,
    plot_worst_sequence,
)
from seqlight.studies.report.judgement import ModelJudgement, measure_outputs
from seqlight.studies.report.phrases import Sentence, as_count, as_output, as_share, shorten
from seqlight.studies.report.sentences import find_sentences
from seqlight.studies.report.summaries import are_grouped, group_judgements, judge_all
from seqlight.studies.report.tables import (
    make_cells,
    make_messages,
    make_operations,
    make_summary,
    make_suspects,
    make_terms,
)

if TYPE_CHECKING:
    from seqlight.studies.results import StudyResults

# With more models, their sentences are folded away, pictures are of pixels, and logos are those of the worst.
FEW_MODELS = 3
MANY_MODELS = 20
MAX_LOGOS = 10
MAX_GROUPS = 60
# A picture with more rows is longer than anybody scrolls.
MAX_ROWS = 400
# The verdicts on many models, by tone.
TONES: dict[Tone, str] = {
    "bad": "on which nothing can be believed as it is",
    "fair": "with a reservation",
    "good": "on which an implementation can be believed",
    "plain": "without a verdict",
}
# An output difference that is a smaller share of the output is one of a network that hardly tells sequences apart.
SMALL_DIFFERENCE = 0.05
# A message is cut here, and so is the list of them.
MAX_MESSAGE = 2000
MAX_MESSAGES = 100


def write_study_page(results: StudyResults, path: str | os.PathLike[str] | None = None) -> Path:
    """Write one self-contained HTML page about a study, from what is stored.

    Parameters
    ----------
    results : StudyResults
    path : path, optional
        The file; ``page.html`` in the folder of the study by default.

    Returns
    -------
    pathlib.Path
        The file.
    """
    judgements = judge_all(results)
    said = {one.model: find_sentences(results, one) for one in judgements}
    sections = [
        Section("What it says", list(_say(results, judgements, said))),
        Section("In pictures", list(_draw(judgements))),
        Section("In numbers", list(_count(judgements))),
    ]
    named = {
        "The operations of the model": list(_list_operations(results, judgements)),
        "Where they disagree most": list(_draw_logos(results, judgements)),
        "Warnings and errors": list(_list_messages(results, judgements)),
    }
    sections += [Section(title, blocks) for title, blocks in named.items() if blocks]
    sections.append(Section("How it was made", list(_describe_run(results))))
    path = results.folder / "page.html" if path is None else path
    return write_page(Path(path), _title(results), _lead(results), sections)


def _title(results: StudyResults) -> str:
    names = results.models
    about = f"the model “{names[0]}”" if len(names) == 1 else as_count(len(names), "model")
    return f"Whose attributions can be believed on {about}?"


def _lead(results: StudyResults) -> str:
    cases = list(results.settings["cases"].values())
    first = cases[0]
    data = f"{as_count(first['rows'], 'sequence')} of {as_count(first['positions'], 'position')}"
    data += f", with {as_count(first['n_references'], 'reference')} each,"
    if len(cases) > 1:
        data = "The sequences of each model"
    return (
        f"{data} were explained by {as_count(len(results.implementations), 'implementation')} of attribution, each in "
        "a process of its own. Whether their contributions add up is computed from plain calls of the model, not from "
        "what an implementation says about itself."
    )


def _say(
    results: StudyResults, judgements: Sequence[ModelJudgement], said: dict[str, list[Sentence]]
) -> Iterator[Block]:
    if not results.complete:
        yield Callout("This study is not finished: run its command again, and it goes on where it stopped.", "fair")
    if len(judgements) > 1:
        yield make_summary(judgements)
        if are_grouped(judgements):
            kind: Any = "png" if len(judgements) > MANY_MODELS else "svg"
            caption = "By group: how many are complete, what came of the others, and the largest miss as a colour."
            picture = Picture(plot_misses(judgements, groups=True), caption, kind)
            n_groups = len(group_judgements(judgements))
            # A picture of several screens would hide what comes after it.
            yield picture if n_groups <= MAX_GROUPS else Fold("By group", [picture], as_count(n_groups, "group"))
    folds = {
        one.model: _fold(one, said[one.model], _describe_outputs(results, one), len(judgements)) for one in judgements
    }
    if len(judgements) == 1:
        (only,) = folds.values()
        yield Callout(only.text, only.tone)
        yield from only.blocks
    elif len(judgements) <= MANY_MODELS:
        yield from folds.values()
    else:
        for tone, title in TONES.items():
            these = [one for one in folds.values() if one.tone == tone]
            if these:
                yield Fold(as_count(len(these), "model"), these, title, tone)


def _fold(judged: ModelJudgement, sentences: Sequence[Sentence], outputs: str, n_models: int) -> Fold:
    verdict, *others = sentences
    blocks: list[Block] = [Points([(one.text, one.tone) for one in others])]
    blocks += [Text(outputs)] if outputs else []
    return Fold(judged.model, blocks, verdict.text, verdict.tone, is_open=n_models <= FEW_MODELS)


def _describe_outputs(results: StudyResults, judged: ModelJudgement) -> str:
    """Return how large the output difference is, of which a miss is a share; "" if there is none."""
    try:
        difference, size = measure_outputs(results, judged.model, judged.dtype)
    except InputError:
        return ""
    if not difference > 0:
        return ""
    text = (
        f"The output differs by {as_output(difference)} between a sequence and a reference, in the mean: this is what "
        "misses are shares of."
    )
    if difference >= SMALL_DIFFERENCE * size:
        return f"{text} The output itself is {as_output(size)} in size."
    return (
        f"{text} That is only {as_share(difference / size)} of the size of the output, {as_output(size)}, as it often "
        "is with untrained weights: the same fault may be another share after a training."
    )


def _draw(judgements: Sequence[ModelJudgement]) -> Iterator[Block]:
    kind: Any = "png" if len(judgements) > MANY_MODELS else "svg"
    if len(judgements) <= MANY_MODELS:
        yield _draw_misses(judgements, kind)
    yield Picture(
        plot_likeness_and_time(judgements),
        "The miss against the likeness with the first implementation, and against the time of a call. In the shaded "
        "part it is no more than rounding. Marks inside one another are in the same place.",
        kind,
        plot_likeness_and_time(judgements, NARROW_WIDTH) if kind == "svg" else None,
    )
    if MANY_MODELS < len(judgements) <= MAX_ROWS:
        yield Fold("All models", [_draw_misses(judgements, kind)])


def _draw_misses(judgements: Sequence[ModelJudgement], kind: Any) -> Picture:
    return Picture(
        plot_misses(judgements),
        "The miss: the share of the output difference that contributions do not add up to. Blue is complete, red is "
        "not; “silent” are those that do not say so. Grey ones promise nothing, or gave no contributions.",
        kind,
        plot_misses(judgements, width=NARROW_WIDTH) if kind == "svg" else None,
    )


def _count(judgements: Sequence[ModelJudgement]) -> Iterator[Block]:
    cells = make_cells(judgements)
    terms = make_terms(judgements, list(map(str, cells.table)))
    if len(judgements) > FEW_MODELS:
        yield terms
        yield Fold("All cells", [cells], f"{len(cells.table):,} rows")
    else:
        yield cells
        yield terms


def _list_operations(results: StudyResults, judgements: Sequence[ModelJudgement]) -> Iterator[Block]:
    for judged in judgements:
        audit = results.audit(judged.model)
        suspects = [
            (one.title, suspect)
            for one in judged.of("incomplete", "not finite")
            for suspect in results.suspects(judged.model, one.name)
        ]
        blocks: list[Block] = [make_suspects(suspects)] if suspects else []
        if audit is not None:
            # As it is printed, there is a table above the verdict.
            verdict = _join(audit.text.split("\n\n", 1)[-1].splitlines())
            blocks += [make_operations(audit), *(Text(line) for line in verdict)]
        if len(judgements) == 1:
            yield from blocks
        elif blocks:
            how: tuple[str, Tone] = ("", "plain")
            if audit is not None:
                how = ("seqlight is complete", "good") if audit.complete else ("seqlight is not complete", "bad")
            yield Fold(judged.model, blocks, *how)


def _join(lines: Sequence[str]) -> list[str]:
    """Return paragraphs from lines of which those that are indented go on."""
    found: list[str] = []
    for line in lines:
        if line.startswith(" ") and found:
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
    return found


def _draw_logos(results: StudyResults, judgements: Sequence[ModelJudgement]) -> Iterator[Block]:
    worst = sorted(judgements, key=lambda one: -_largest_miss(one))
    for one in worst[:MAX_LOGOS]:
        drawn = plot_worst_sequence(results, one)
        if drawn is None:
            continue
        figure, where = drawn
        caption = f"{where}. Rows are counted from 0; this one has the largest disagreement. Contributions are means"
        picture = Picture(figure, f"{caption[0].upper()}{caption[1:]} over its references.", "png")
        yield picture if len(judgements) == 1 else Fold(one.model, [picture], is_open=len(judgements) <= FEW_MODELS)
    if len(worst) > MAX_LOGOS:
        yield Text(f"These are the {MAX_LOGOS} models with the largest misses, of {len(worst)}.")


def _largest_miss(judged: ModelJudgement) -> float:
    return max((one.cell["miss"] for one in judged.of("incomplete", "approximate")), default=0.0)


def _list_messages(results: StudyResults, judgements: Sequence[ModelJudgement]) -> Iterator[Block]:
    printed = [
        (one.title, model.model, text)
        for model in judgements
        for one in model.cells
        if (text := results.printed(model.model, one.name, one.dtype))
    ]
    messages = make_messages(judgements, printed)
    for who, text in messages[:MAX_MESSAGES]:
        cut = text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]} ..."
        yield Fold(who, [Code(cut)], shorten(text, 80), is_open=len(messages) <= FEW_MODELS)
    if len(messages) > MAX_MESSAGES:
        yield Text(f"There are {len(messages) - MAX_MESSAGES} more, in the files of the folder “cells”.")


def _describe_run(results: StudyResults) -> Iterator[Block]:
    settings = results.settings
    if settings["command"]:
        yield Text("This line runs it again, and computes only what is missing or has changed:")
        yield Code(settings["command"])
    about = {
        "dtypes": ", ".join(settings["dtypes"]),
        "seed": str(settings["random_state"]),
        "time limit of a cell": f"{settings['time_limit']:g} s",
        **{str(name): str(value) for name, value in settings["versions"].items()},
        **{one["package"]: str(one["version"] or "not installed") for one in settings["implementations"].values()},
        **{str(name): str(value) for name, value in settings["machine"].items()},
    }
    yield TextTable(
        pd.DataFrame({"setting": list(about), "value": list(about.values())}), "Versions, settings and the machine."
    )
    sources = {name: case["source"] for name, case in settings["cases"].items() if case.get("source")}
    for name, source in sources.items():
        yield Fold(f"Where {name} is from", [Code(source)])
