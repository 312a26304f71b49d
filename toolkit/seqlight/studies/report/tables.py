"""The tables of a study's page, in words that need no explanation, and what their columns mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from seqlight.errors import listed
from seqlight.report.blocks import Terms, TextTable
from seqlight.studies.report.judgement import Judgement, ModelJudgement
from seqlight.studies.report.phrases import as_correlation, as_memory, as_power, as_seconds, as_share
from seqlight.studies.report.summaries import count_outcomes, describe_outcome, find_titles, find_tone

if TYPE_CHECKING:
    from seqlight.studies.implementations.implementation import Suspect
    from seqlight.studies.results import StoredAudit

# Columns of numbers, on the right.
NUMBERS = (
    "miss",
    "worst miss",
    "r",
    "r of ranks",
    "sign flips",
    "largest in common",
    "share in motifs",
    "motifs found",
    "first call",
    "second call",
    "memory",
)
NUMBERS_IN_TEXT = re.compile(r"tensor\(.*?\)|[-+]?\d[\d.,]*(e[-+]?\d+)?", re.DOTALL)
# Longer tables would make a page of many MB.
MAX_CELLS = 3000
COUNTS = ("complete", "nearly complete", "wrong and silent", "wrong, and says so", "refused", "no contributions")


def make_summary(judgements: Sequence[ModelJudgement]) -> TextTable:
    """Return how often each implementation is complete, wrong and silent, and so on, over all models."""
    table = count_outcomes(judgements)
    shown = table[[name for name in table if (table[name] != "").any()]]
    tones = {
        "complete": ["good" if n else "" for n in table["complete"]],
        "wrong and silent": ["bad" if n else "" for n in table["wrong and silent"]],
        "wrong, and says so": ["fair" if n else "" for n in table["wrong, and says so"]],
    }
    tones = {name: tone for name, tone in tones.items() if name in shown}
    return TextTable(
        shown,
        "How many models each implementation explains, and how well. Complete: contributions sum to the output "
        "difference. Wrong and silent: they do not, and nobody is warned.",
        tones,  # type: ignore[arg-type]
        numbers=("models", *COUNTS, "other question", "median time of a call"),
    )


def make_cells(judgements: Sequence[ModelJudgement]) -> TextTable:
    """Return what came of every cell."""
    rows, tones = [], []
    caption = "Every cell of this study. What the columns mean is said with the table."
    for model in judgements:
        name = {"model": model.model} if len(judgements) > 1 else {}
        for one in _order_by_dtype(model):
            rows.append({**name, "implementation": one.title, "computed in": one.dtype, **_describe(one)})
            tones.append(find_tone(one))
    if len(rows) > MAX_CELLS:
        kept = [i for i, tone in enumerate(tones) if tone != "good"][:MAX_CELLS]
        caption = f"Of {len(rows):,} cells the first {len(kept):,} that are not complete; `.cells` has all."
        rows, tones = [rows[i] for i in kept], [tones[i] for i in kept]
    table = pd.DataFrame(rows)
    # Columns that say nothing here are left out.
    table = table[[name for name in table if (table[name] != "-").any()]]
    return TextTable(table, caption, {"what came of it": tones}, NUMBERS)


def _order_by_dtype(model: ModelJudgement) -> list[Judgement]:
    """Return all cells of a model: first those in the dtype that decides, then those in others."""
    asked: dict[str, list[Judgement]] = {model.dtype: [], **{dtype: [] for dtype in model.others}}
    for one in [*model.cells, *(one for cells in model.others.values() for one in cells)]:
        asked.setdefault(one.dtype, []).append(one)
    order = [one.name for one in model.cells]
    return [one for cells in asked.values() for one in sorted(cells, key=lambda cell: order.index(cell.name))]


def _describe(one: Judgement) -> dict[str, str]:
    cell = one.cell
    small = as_power if one.standing == "complete" else as_share
    return {
        "what came of it": describe_outcome(one),
        "miss": small(cell["miss"]),
        "worst miss": small(cell["miss_max"]),
        "r": as_correlation(cell["r"]),
        "r of ranks": as_correlation(cell["rank_r"]),
        "sign flips": as_share(cell["sign_flips"]).replace("nothing", "0 %"),
        "largest in common": as_share(cell["top_overlap"]).replace("nothing", "0 %"),
        "share in motifs": as_share(cell["motif_share"]).replace("nothing", "0 %"),
        "motifs found": as_share(cell["motif_recall"]).replace("nothing", "0 %"),
        "first call": as_seconds(cell["seconds_first"]),
        "second call": as_seconds(cell["seconds"]),
        "memory": as_memory(cell["peak_mib"]),
        "left changed": listed(list(cell["changed_state"])) or "-",
    }


def make_terms(judgements: Sequence[ModelJudgement], columns: Sequence[str]) -> Terms:
    """Return what the columns mean, a sentence each."""
    first = next(iter(find_titles(judgements).values()), "the first implementation")
    tolerances: dict[str, float] = {}
    for model in judgements:
        for one in [*model.cells, *(one for cells in model.others.values() for one in cells)]:
            if not one.is_integral:
                tolerances[one.dtype] = min(one.tolerance, tolerances.get(one.dtype, 1.0))
    rounding = listed([f"{as_power(one)} in {dtype}" for dtype, one in tolerances.items()])
    terms = {
        "miss": "With each reference, the contributions of a sequence should sum to the difference between the two "
        "outputs. The miss is by how much they do not, in the mean, as a share of the mean difference: contributions "
        "that are all zero miss 100 %. Untrained networks have small differences, of which a fault is a larger share.",
        "worst miss": "The same for the sequence and the reference that are missed most.",
        "computed in": "What is exact is asked in each precision: float64 shows every fault, float32 is what models "
        "are used in. What is not exact anyway, such as integrated gradients, or does not promise to add up is asked "
        "in one only.",
        "complete": f"The miss is no more than rounding: up to {rounding}.",
        "silently": "There was no warning, no error, and nothing was printed.",
        "another question": "The method does not promise that contributions sum to the output difference, so its "
        "miss is no fault; what counts is its likeness.",
        "r": f"Likeness: the correlation of contributions with those of {first} over the positions of a sequence, in "
        "the mean. 1 is the same pattern, whatever its height.",
        "r of ranks": "The same for the order of positions, from the most negative to the most positive.",
        "sign flips": f"How much of the contributions, by size, has the other sign than with {first}.",
        "largest in common": "Of the tenth of the positions with the largest contributions, the share that is also "
        f"among those of {first}.",
        "share in motifs": "How much of the contributions, by size, is inside of the motifs that are known to matter.",
        "motifs found": "The share of the positions of these motifs that is among as many positions with the largest "
        "contributions.",
        "first call": "Its time without imports, but with what is set up once; the second call shows the time of work.",
        "memory": "What the process took at most beyond what it held before.",
        "left changed": "What is not as it was on the model, or in the process, after the call.",
    }
    always = ("complete", "silently", "another question")
    return Terms({name: text for name, text in terms.items() if name in columns or name in always})


def make_operations(audit: StoredAudit) -> TextTable:
    """Return how seqlight treats the operations of a model, and what each loses."""
    table = audit.table
    has_note = table["note"] != ""
    lost = [as_share(one) if note else "-" for one, note in zip(table["lost"].astype(float), has_note, strict=True)]
    shown = pd.DataFrame(
        {
            "operation": [f"`{one}`" for one in table["operation"]],
            "module": [f"`{one}`" if one else "" for one in table["module"]],
            "treatment": table["treatment"].astype(str),
            "calls": table["calls"].astype(str),
            "loses": lost,
        }
    )
    tones = ["bad" if note else "" for note in has_note]
    return TextTable(
        shown,
        "The operations of the model as `seqlight.audit` met them, with the rule that seqlight applies to each; linear "
        "operations need none. What loses nothing of the output difference has a dash.",
        {"loses": tones},  # type: ignore[dict-item]
        numbers=("calls", "loses"),
    )


def make_suspects(suspects: Sequence[tuple[str, Suspect]]) -> TextTable:
    """Return the operations that implementations are known to treat wrongly, why, and what helps.

    Parameters
    ----------
    suspects : sequence of (str, Suspect)
        The title of an implementation, and what it is suspected of.
    """
    rows = [
        {
            "implementation": title,
            "operation": f"`{one.operation}`",
            "module": f"`{one.module}`" if one.module else "the model itself",
            "why": one.reason,
            "what to do": one.remedy or "-",
        }
        for title, one in suspects
    ]
    caption = "What the implementations that miss are known to treat wrongly, the most likely cause first."
    return TextTable(pd.DataFrame(rows), caption, long=("why", "what to do"))


def make_messages(
    judgements: Sequence[ModelJudgement], printed: Sequence[tuple[str, str, str]]
) -> list[tuple[str, str]]:
    """Return warnings, errors and what was printed, with who said it about which models.

    Of those of an implementation that differ in numbers only, the first is returned.

    Parameters
    ----------
    judgements : sequence of ModelJudgement
    printed : sequence of (title, model, text)
    """
    said = [
        (f"{one.title} {how}", model.model, text)
        for model in judgements
        for one in [*model.cells, *(one for cells in model.others.values() for one in cells)]
        for how, text in _messages_of(one)
    ]
    said += [(f"{title} prints", model, text) for title, model, text in printed]
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for who, model, text in said:
        found.setdefault((who, NUMBERS_IN_TEXT.sub("#", text)), (text, []))[1].append(model)
    return [
        (who + (_about(list(dict.fromkeys(models))) if len(judgements) > 1 else ""), text)
        for (who, _), (text, models) in found.items()
    ]


def _messages_of(one: Judgement) -> list[tuple[str, str]]:
    warned = [("warns", text) for text in one.cell["warnings"]]
    failed = [("ends with an error", one.cell["error"])] if one.cell["error"] and one.standing != "absent" else []
    return warned + failed


def _about(models: Sequence[str]) -> str:
    return f", on {models[0]}" + (f" and {len(models) - 1} more" if len(models) > 1 else "")
