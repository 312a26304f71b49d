"""The verdict on a model: the one sentence of a study to act upon."""

from __future__ import annotations

import re

from seqlight.errors import listed
from seqlight.studies.report.judgement import Judgement, ModelJudgement
from seqlight.studies.report.phrases import Sentence, shorten

# What `predict` warns and `attribute` refuses with, where rows of a batch are not independent.
DEPENDENT_ROWS = re.compile(r"BatchWarning|other rows of (its|the) batch")


def rows_depend(judged: ModelJudgement) -> bool:
    """Return whether the output for a sequence depends on the other sequences of its batch."""
    if judged.mixed_rows > max((one.tolerance for one in judged.cells), default=0.0):
        return True
    messages = [text for one in judged.cells for text in [*one.cell["warnings"], one.cell["error"]]]
    return any(DEPENDENT_ROWS.search(text) for text in messages)


def find_verdict(judged: ModelJudgement) -> Sentence:
    """Return the sentence to act upon."""
    if not judged.cells:
        return Sentence("This model was not asked about yet: run the command of the study again.", "fair")
    if judged.failure:
        return Sentence(f"{_describe_failure(judged.failure)}", "bad")
    if rows_depend(judged):
        return Sentence(
            "Believe none of them before you mend the model: its output for one sequence depends on the other "
            "sequences of the batch.",
            "bad",
        )
    if judged.of("constant"):
        return Sentence("There is nothing to explain: the output of this model does not depend on the sequence.", "bad")
    if judged.groups:
        return _find_verdict_of_groups(judged)
    near = listed([one.title for one in judged.of("approximate")])
    if near:
        return Sentence(
            f"You can believe {near} on this model, up to the miss below; no exact implementation is complete.", "fair"
        )
    if judged.of("incomplete", "not finite"):
        return Sentence("Believe none of them on this model: not one sums to the output difference.", "bad")
    if judged.of("no promise", "unchecked"):
        return Sentence(
            "Nothing here can be checked: there are no contributions of an implementation that promises completeness, "
            "or no outputs to compare them with.",
            "fair",
        )
    return Sentence("No implementation gave contributions for this model.", "bad")


def _describe_failure(failure: str) -> str:
    """Return why the model gave no outputs, and what to do."""
    if failure.startswith("InputError"):  # which says what to do
        return f"Nothing can be compared: {failure.partition(': ')[2]}"
    if failure.startswith(("time limit", "memory limit")):
        kind = failure.partition(" limit")[0]
        return (
            f"Nothing can be compared: the plain calls of the model did not end within the limit of {kind} "
            f"({shorten(failure.partition(': ')[2])}). What to do: raise {kind}_limit, and run the study again."
        )
    return (
        f"The model itself cannot be called on these sequences: “{shorten(failure)}”. What to do: call it with them, "
        "and look at their letters, their number of positions, and the further inputs."
    )


def _find_verdict_of_groups(judged: ModelJudgement) -> Sentence:
    best, *rest = judged.groups
    exact = [one for group in rest for one in group if not one.is_integral]
    if len(best) > 1 and not exact:
        return Sentence(f"You can believe {_titles(best)} on this model: they are complete and agree.", "good")
    if len(best) > 1:
        also = "is complete, too, but divides" if len(exact) == 1 else "are complete, too, but divide"
        return Sentence(
            f"You can believe {_titles(best)} on this model: they are complete and agree; {_titles(exact)} {also} the "
            "output difference among positions in another way.",
            "good",
        )
    if exact:
        all_of = [best[0], *exact]
        both = "both" if len(all_of) == 2 else "all"
        return Sentence(
            f"{_titles(all_of)} are {both} complete on this model, but do not agree: completeness does not tell which "
            "of them to believe.",
            "fair",
        )
    alone = not [one for one in judged.cells if one is not best[0] and one.standing != "absent"]
    why = "; no other implementation took part" if alone else ", and the only one of its method that is"
    text = f"{best[0].title} is complete on this model{why}: nothing confirms how it divides the output difference"
    return Sentence(f"{text} among positions.", "fair")


def _titles(judged: list[Judgement]) -> str:
    return listed([one.title for one in judged])
