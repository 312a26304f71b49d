"""What else a study found out about a model: where it loses something, other dtypes, and side effects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from seqlight.errors import listed
from seqlight.studies.report.judgement import Judgement, ModelJudgement
from seqlight.studies.report.phrases import Sentence, as_power, as_sentence, as_share, shorten

if TYPE_CHECKING:
    from seqlight.report.blocks import Tone
    from seqlight.studies.results import StudyResults

# How many operations of an audit are named.
MAX_CULPRITS = 3


def find_remarks(results: StudyResults, judged: ModelJudgement) -> Iterator[Sentence]:
    """Yield sentences about a model as a whole."""
    yield from _describe_audit(results, judged)
    yield from _describe_first_dtype(results, judged)
    for dtype, cells in judged.others.items():
        yield from _describe_dtype(judged, dtype, cells)
    yield from _describe_needless_warnings(judged)
    yield from _describe_noise(results, judged)
    yield from _describe_changes(judged)


def _describe_audit(results: StudyResults, judged: ModelJudgement) -> Iterator[Sentence]:
    """Yield what the audit blames, where the contributions of seqlight are not complete."""
    audit = results.audit(judged.model)
    if audit is None or audit.complete:
        return
    blamed = audit.table[audit.table["note"] != ""].head(MAX_CULPRITS)
    each = []
    for operation, module, lost, note in blamed[["operation", "module", "lost", "note"]].itertuples(index=False):
        loses = f" loses {as_share(lost)}" if lost == lost else ""
        each.append(as_sentence(f"`{operation}` in {module}{loses}: {note}"))
    if each:
        yield Sentence(f"`seqlight.audit` finds where it is lost: {' '.join(each)}", "bad")


def _describe_first_dtype(results: StudyResults, judged: ModelJudgement) -> Iterator[Sentence]:
    """Yield that the model does not run in the dtype that was asked for first, if it does not."""
    wanted = results.settings["dtypes"][0]
    if judged.dtype == wanted or not any(one.cell["status"] == "ok" for one in judged.cells):
        return
    errors = [one.cell["error"] for one in judged.others.get(wanted, []) if one.cell["error"]]
    why = f" (“{shorten(errors[0])}”)" if errors else ""
    tolerance = max(one.tolerance for one in judged.cells)
    yield Sentence(
        f"The model does not run in {wanted}{why}: all this is said of {judged.dtype}, where a miss below "
        f"{as_power(tolerance)} passes for rounding.",
        "fair",
    )


def _describe_dtype(judged: ModelJudgement, dtype: str, cells: list[Judgement]) -> Iterator[Sentence]:
    """Yield what becomes in this dtype of those that are complete in the one that is judged."""
    if not any(one.cell["status"] == "ok" for one in cells):
        return
    complete = {one.name for one in judged.of("complete")}
    also = [one for one in cells if one.name in complete and one.standing == "complete"]
    if also and len(also) == len(complete):
        stay = f"{also[0].title} stays" if len(also) == 1 else f"{listed([one.title for one in also])} stay"
        worst = as_power(max(one.cell["miss"] for one in also))
        yield Sentence(f"In {dtype}, {stay} complete: the largest miss is {worst}, which is rounding there.", "good")
    for one in cells:
        if one.name in complete and one.standing not in ("complete", "constant"):
            yield _describe_loss(one, dtype, judged.dtype)


def _describe_loss(one: Judgement, dtype: str, before: str) -> Sentence:
    if one.cell["status"] != "ok":
        why = f": “{shorten(one.cell['error'])}”" if one.cell["error"] else ""
        return Sentence(f"In {dtype}, {one.title} gives no contributions ({one.standing}){why}.", "fair")
    tone: Tone = "bad" if one.is_silent else "fair"
    if one.standing == "not finite":
        return Sentence(f"In {dtype}, {one.title} returns NaN or infinity. What to do: stay with {before}.", tone)
    return Sentence(
        f"In {dtype}, {one.title} misses {as_share(one.cell['miss'])}, more than rounding should cost, although it is "
        f"complete in {before}. What to do: stay with {before}.",
        tone,
    )


def _describe_needless_warnings(judged: ModelJudgement) -> Iterator[Sentence]:
    for one in judged.of("complete", "approximate", "no promise"):
        if one.cell["verdict"] == "warned" and one.warning:
            though = ", although it is complete" if one.standing == "complete" else ""
            yield Sentence(as_sentence(f"{one.opening} warns{though}: “{one.warning}”"))


def _describe_noise(results: StudyResults, judged: ModelJudgement) -> Iterator[Sentence]:
    for one in judged.cells:
        printed = results.printed(judged.model, one.name, one.dtype)
        if printed:
            yield Sentence(f"{one.opening} prints to the terminal: “{shorten(printed)}”.")


def _describe_changes(judged: ModelJudgement) -> Iterator[Sentence]:
    """Yield what implementations leave changed."""
    for one in judged.cells:
        changed = list(one.cell["changed_state"])
        if changed:
            yield Sentence(
                f"{one.opening} leaves something changed behind it: {listed(changed)}. What to do: give it "
                "`copy.deepcopy(model)`, and seed again what is random afterwards.",
                "fair",
            )
