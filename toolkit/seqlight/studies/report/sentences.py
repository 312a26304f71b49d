"""What a study says about a model, in sentences: whom to believe, who is wrong and where, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from seqlight.errors import listed
from seqlight.studies.report import remarks
from seqlight.studies.report.judgement import Judgement, ModelJudgement, Standing, judge
from seqlight.studies.report.phrases import (
    Sentence,
    as_correlation,
    as_miss,
    as_opening,
    as_power,
    as_seconds,
    as_sentence,
    as_share,
    shorten,
)
from seqlight.studies.report.verdicts import find_verdict

if TYPE_CHECKING:
    from seqlight.studies.implementations.implementation import Suspect
    from seqlight.studies.results import StudyResults

# The worst pair is named where it misses this many times as much as the mean.
WORST_PAIR = 3
# The fastest of those that agree is named where another takes this many times as long: less is noise.
FASTER = 2
MAX_SUSPECTS = 3
WITHOUT_CONTRIBUTIONS: dict[Standing, str] = {
    "refused": "refuses this model, which is better than wrong numbers",
    "error": "ends with an error",
    "crashed": "crashed",
    "time limit": "did not finish within the limit of time (raise time_limit to wait longer)",
    "memory limit": "took more memory than the limit (raise memory_limit if there is more)",
}


def explain(results: StudyResults, model: str) -> str:
    """Return what a study says about a model, a line for each implementation or finding, the verdict first."""
    return "\n".join(one.text for one in find_sentences(results, judge(results, model)))


def find_sentences(results: StudyResults, judged: ModelJudgement) -> list[Sentence]:
    """Return the sentences about a model, the verdict first."""
    return [find_verdict(judged), *_find_findings(results, judged)]


def _find_findings(results: StudyResults, judged: ModelJudgement) -> Iterator[Sentence]:
    if judged.failure:
        # Every implementation met the same error.
        return
    first = judged.cells[0] if judged.cells else None
    for group in judged.groups:
        yield _describe_group(judged, group, first)
    for one in sorted(judged.of("incomplete"), key=lambda one: not one.is_silent):
        yield _describe_incomplete(one, results.suspects(judged.model, one.name), first)
    for one in judged.of("not finite"):
        told = "and does not say so" if one.is_silent else f"and {_describe_warning(one)}"
        text = as_sentence(f"{one.opening} returns NaN or infinity among its contributions, {told}")
        yield Sentence(text, "bad" if one.is_silent else "fair")
    for one in judged.of("unchecked"):
        yield Sentence(
            f"{one.opening} cannot be checked in {one.dtype}, for plain calls of the model gave no outputs.", "fair"
        )
    for one in judged.of("approximate"):
        yield _describe_integral(one, first)
    for one in judged.of("no promise"):
        yield _describe_other_question(one, first)
    for standing, what in WITHOUT_CONTRIBUTIONS.items():
        for one in judged.of(standing):
            why = f": “{shorten(one.cell['error'])}”" if one.cell["error"] else ""
            yield Sentence(f"{one.opening} {what}{why}.", "fair")
    yield from _describe_absent(judged.of("absent"))
    yield from remarks.find_remarks(results, judged)


def _describe_group(judged: ModelJudgement, group: list[Judgement], first: Judgement | None) -> Sentence:
    """Return how well implementations agree that are all complete."""
    worst = max(one.cell["miss"] for one in group)
    missed = f"{as_power(worst) if worst else 'nothing'} of the output difference"
    if worst and not any(one.is_integral for one in group):
        missed += f", which is rounding in {judged.dtype}"
    if len(group) > 1:
        differ = max(judged.differences[one.name] for one in group)
        agree = f"agree to {as_power(differ)} of the largest contribution" if differ else "agree to the last bit"
        labels = listed([group[0].opening, *(one.label for one in group[1:])])
        return Sentence(f"{labels} {agree}, and miss {missed}.{_describe_fastest(judged, group)}", "good")
    (one,) = group
    if one is first or first is None or len(judged.groups) == 1:
        return Sentence(f"{one.opening} misses {missed}.", "good")
    why = "it is another method, so neither proves the other wrong" if one.is_integral else "it follows other rules"
    others = judged.groups[0][0].title if judged.groups[0] is not group else judged.groups[1][0].title
    text = f"{one.opening} misses {missed}, but divides that difference among positions in another way than {others}"
    return Sentence(f"{text}{_in_brackets(_describe_likeness(one, first))}: {why}.", "fair")


def _describe_fastest(judged: ModelJudgement, group: list[Judgement]) -> str:
    timed = [judged.timed(one.name) for one in group]
    times = sorted((one.cell["seconds"], one.title) for one in timed if one.cell["seconds"] == one.cell["seconds"])
    if len(times) < 2 or times[-1][0] < FASTER * times[0][0]:
        return ""
    (least, fastest), (most, slowest) = times[0], times[-1]
    fast = f"{fastest} with {as_seconds(least)} a call in {timed[0].dtype}"
    return f" The fastest is {fast}; {slowest} takes {as_seconds(most)}."


def _describe_incomplete(one: Judgement, suspects: list[Suspect], first: Judgement | None) -> Sentence:
    text = f"{one.opening} misses {as_miss(one.cell['miss'])}"
    if one.cell["miss_max"] > WORST_PAIR * one.cell["miss"]:
        text += f" ({as_share(one.cell['miss_max'])} in the worst pair)"
    text += " and does not say so" if one.is_silent else f", and {_describe_warning(one)}"
    text = as_sentence(text + _in_brackets(_describe_likeness(one, first)))
    return Sentence(f"{text} {_describe_cause(one, suspects)}", "bad" if one.is_silent else "fair")


def _describe_warning(one: Judgement) -> str:
    """Return how an implementation says that something is wrong."""
    if one.cell["verdict"] == "said":
        return "prints something, but does not warn"
    return f"warns: “{one.warning}”" if one.warning else "says so"


def _describe_cause(one: Judgement, suspects: list[Suspect]) -> str:
    """Return which operation is why, and what to do."""
    if not suspects and one.is_integral:
        return "It adds up gradients in steps: give it more of them, or believe another implementation."
    if not suspects:
        return "Which operation is to blame is not known: do not use it for this model."
    worst, *rest = suspects
    text = as_sentence(f"The likely cause is {_place(worst)}: {worst.reason}")
    # One place may be suspected for several reasons.
    places = list(dict.fromkeys(_place(other) for other in rest if _place(other) != _place(worst)))
    others = places[: MAX_SUSPECTS - 1]
    others += [f"{len(places) - len(others)} more"] if len(places) > len(others) else []
    text += f" What to do: {as_sentence(worst.remedy or 'do not use it for this model')}"
    return f"{text} Suspect, too: {listed(others)}." if others else text


def _place(suspect: Suspect) -> str:
    return f"`{suspect.operation}` in " + (f"`{suspect.module}`" if suspect.module else "the model itself")


def _describe_likeness(one: Judgement, first: Judgement | None) -> str:
    """Return how like the first implementation it is; "" if that is not known."""
    if first is None or one is first or one.cell["r"] != one.cell["r"]:
        return ""
    return f"r = {as_correlation(one.cell['r'])} with {first.title}"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _describe_integral(one: Judgement, first: Judgement | None) -> Sentence:
    likeness = _in_brackets(_describe_likeness(one, first))
    return Sentence(
        f"{one.opening} itself misses {as_share(one.cell['miss'])}, for it adds up gradients in steps{likeness}. "
        "It is another method than DeepLIFT, and no ground truth for it."
    )


def _describe_other_question(one: Judgement, first: Judgement | None) -> Sentence:
    text = f"{one.opening} answers another question and does not promise to sum to the output difference"
    likeness = _describe_likeness(one, first)
    if likeness:
        top, flips = one.cell["top_overlap"], one.cell["sign_flips"]
        shown = [likeness, f"{as_share(top)} of the largest positions in common" if top == top else ""]
        shown.append(f"another sign at {as_share(flips)} of the magnitude" if flips == flips else "")
        text += f"; its likeness: {', '.join(filter(None, shown))}"
    return Sentence(f"{text}.")


def _describe_absent(absent: list[Judgement]) -> Iterator[Sentence]:
    if absent:
        names = listed([as_opening(absent[0].title, absent[0].package), *(one.title for one in absent[1:])])
        packages = sorted({one.package for one in absent})
        missing = f"{listed(packages)} {'is' if len(packages) == 1 else 'are'} not installed"
        yield Sentence(f"{names} took no part, for {missing}. What to do: `pip install {' '.join(packages)}`.")
