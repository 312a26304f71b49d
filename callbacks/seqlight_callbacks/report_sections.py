"""What a report of a training says: how the attribution moved, what the model looks at, its seqlets, all numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from seqlight.metrics.motif_share import motif_interval_share, motif_window_share
from seqlight.metrics.overlap import overlap_mask
from seqlight.plot.logo_stack import plot_logos
from seqlight.plot.text import LITERAL_TEXT
from seqlight.report import figures
from seqlight.report.page import Block, Film, Picture, Section, Table
from seqlight.report.ruler import Ruler
from seqlight.sequence.one_hot import characters
from seqlight_callbacks.history import History
from seqlight_callbacks.recorder import Recorder
from seqlight_callbacks.records import AttributionRecord
from seqlight_callbacks.seqlets import SeqletCallback

# How many sequences, letters beside each other, frames of a film and logos of a stack a reader can take in.
SHOWN, WIDEST, FRAMES, STACKED = 4, 200, 60, 8
SETS = ("train", "training", "val", "valid", "validation", "test")


@dataclass(frozen=True)
class Story:
    """A training, with what its callbacks saw.

    Attributes
    ----------
    attribution : AttributionCallback
        With its last record.
    seqlets : SeqletCallback or None
        With its last table.
    history : History
        Of all steps.
    examples : tuple of int
        Which sequences to show; if empty, those with the highest output after the last epoch.
    motif : str
        What known intervals, or the window, hold.
    ruler : Ruler
        How positions are numbered.
    """

    attribution: Recorder
    seqlets: SeqletCallback | None
    history: History
    examples: tuple[int, ...] = ()
    motif: str = "known intervals"
    ruler: Ruler = figures.DEFAULT_RULER

    @property
    def record(self) -> AttributionRecord:
        """The last."""
        assert self.attribution.record is not None
        return self.attribution.record

    @property
    def known(self) -> pd.DataFrame | None:
        """Where the motif is, as far as that is known."""
        if self.seqlets is not None and self.seqlets.known is not None:
            return self.seqlets.known
        if self.attribution.window is None:
            return None
        start, end = self.attribution.window
        return pd.DataFrame({"example_idx": range(len(self.attribution.sequences)), "start": start, "end": end})

    @property
    def shown(self) -> list[int]:
        """The sequences to show, best first."""
        outputs = self.history.outputs[self.history.steps[-1]]
        best: list[int] = outputs.nan_to_num(float("-inf")).argsort(descending=True, stable=True)[:SHOWN].tolist()
        return list(self.examples) or best

    def drawn(self, step: int) -> Tensor:
        """Return the attributions of a step as they can be drawn: what is not finite is nothing."""
        return self.history.attributions(step).nan_to_num(0.0, 0.0, 0.0)

    def shaded(self, shown: Sequence[int]) -> list[list[tuple[int, int]]]:
        """Return the intervals of each shown sequence where the motif is."""
        sites = self.known
        if sites is None:
            return [[] for _ in shown]
        return [list(sites.loc[sites["example_idx"] == i, ["start", "end"]].itertuples(index=False)) for i in shown]

    @property
    def shading(self) -> str:
        """What to say of what is shaded."""
        return "" if self.known is None else f" Shaded: the {self.motif}."

    def part(self, attributions: Tensor) -> tuple[int, int]:
        """Return which positions to show: all, or as many as can be read, where there is most attribution."""
        length = attributions.shape[-1]
        if length <= WIDEST:
            return 0, length
        size = attributions.sum(dim=1).abs().sum(dim=0).double()
        sums = size.cumsum(0)
        inside = sums[WIDEST - 1 :] - torch.cat([sums.new_zeros(1), sums[: length - WIDEST]])
        start = int(inside.argmax())
        return start, start + WIDEST


def learned(story: Story, names: Sequence[str]) -> Section:
    """Return how the logged numbers of these names went."""
    panels = panels_of({name: story.history.line(name) for name in names})
    return Section(
        "How the training went", [Picture(figures.learning_curves(panels, unit="step"), "What was logged, by step.")]
    )


def movement(story: Story) -> Section:
    """Return how the attribution moved from record to record."""
    blocks: list[Block] = [_places(story), _film(story), _stack(story)]
    steady = _steadiness(story)
    if steady is not None:
        blocks.append(Picture(steady, "How steady the attributions are, and the seqlets in them, by step."))
    return Section("How the attribution moved", blocks)


def looks(story: Story) -> Section:
    """Return logos of the last record."""
    shown, last = story.shown, story.history.steps[-1]
    attributions, outputs = story.drawn(last)[shown], story.history.outputs[last]
    start, end = story.part(attributions)
    called = [f"{story.attribution.called(i)}, output {float(outputs[i]):+.2f}" for i in shown]
    table = None if story.seqlets is None else story.seqlets.seqlets
    shaded = story.shaded(shown)
    picture = figures.logos(attributions, called, table, shown, shaded, story.ruler, start=start, end=end)
    which = "chosen sequences" if story.examples else f"{len(shown)} sequences with the highest output"
    caption = f"The {which}, {story.history.label(last)}. A letter is as tall as what its base adds to the output"
    caption += "" if table is None else "; bars are seqlets, with the sum of their attribution"
    return Section("What it looks at", [Picture(picture, f"{caption}.{story.shading}")])


def seqlets(story: Story) -> Section:
    """Return the seqlets of the last record: where they are, and the strongest."""
    assert story.seqlets is not None
    strong = story.seqlets.strong_positive()
    window = story.attribution.window
    known = story.seqlets.known if window is None else None
    places = figures.seqlet_places(strong, story.attribution.sequences.shape[2], window, story.ruler, known)
    caption = (
        f"How many of the {len(strong)} strong positive seqlets (p < {story.seqlets.strong:g}) cover each position."
    )
    caption += story.shading if known is None else f" The outline is where the {story.motif} are."
    told = f"The strongest of them. Positions count from {story.ruler.start}, and the end is not part of it."
    return Section("Seqlets", [Picture(places, caption), Table(_strongest(story, strong), told)])


def all_numbers(story: Story, names: Sequence[str]) -> Section:
    """Return what was logged under these names, by step."""
    lines = {name: story.history.line(name) for name in names}
    table = pd.DataFrame(lines).sort_index().rename_axis("step").reset_index()
    table.insert(0, "epoch", [story.history.epoch(step) for step in table["step"]])
    table.columns = [_spoken(name) for name in table.columns]
    return Section("All numbers", [Table(table, "What was logged at each validation, and at the end of each epoch.")])


def panels_of(lines: Mapping[str, Mapping[int, float]], most: int = 4) -> dict[str, dict[str, Mapping[int, float]]]:
    """Sort lines into panels: those of training and validation of one number beneath one label.

    Examples
    --------
    >>> panels_of({"train_loss": {1: 0.5}, "val/loss": {1: 0.6}, "lr": {1: 0.1}})
    {'loss': {'train': {1: 0.5}, 'val': {1: 0.6}}, 'lr': {'': {1: 0.1}}}
    """
    panels: dict[str, dict[str, Mapping[int, float]]] = {}
    for name, line in lines.items():
        words = name.replace("/", "_").split("_")
        split = next((word for word in words if word in SETS), "")
        label = " ".join(word for word in words if word != split)
        if label in panels or len(panels) < most:
            panels.setdefault(label, {})[split] = line
    return panels


def _places(story: Story) -> Picture:
    """Return where the attribution was: by position if the motif has one, and else by the kind of known interval."""
    history, window, known = story.history, story.attribution.window, story.known
    if window is None and known is not None and "motif" in known and len(known):
        frames = {step: history.attributions(step) for step in history.steps}
        lines = {
            str(motif) or story.motif: {step: float(motif_interval_share(one, rows)) for step, one in frames.items()}
            for motif, rows in known.groupby("motif")
        }
        lines["elsewhere"] = {step: 1 - sum(line[step] for line in lines.values()) for step in frames}
        curves = figures.learning_curves({"share of positive attribution": lines}, unit="step")
        return Picture(curves, f"How much of the positive attribution lies in the {story.motif}.{_start(story)}")
    shares = window and [float(motif_window_share(history.attributions(step), *window)) for step in history.steps]
    heat = figures.attribution_by_epoch(history.profiles(), shares, window, story.ruler, history.steps, unit="step")
    told = f" Between the lines is the {story.motif}, and on the right what share of it all lies there." * bool(window)
    caption = "Where positive attribution lies, mean over the sequences; a row for each record, by step."
    return Picture(heat, caption + _start(story) + told)


def _start(story: Story) -> str:
    return " 0 is before training." * (story.history.steps[0] == 0)


def _film(story: Story) -> Film:
    shown = story.shown[: max(2, len(story.examples))]
    steps = evenly(story.history.steps, FRAMES)
    frames = {step: story.drawn(step)[shown] for step in steps}
    start, end = story.part(frames[steps[-1]])
    limits = figures.logo_limits(torch.stack([frame[..., start:end] for frame in frames.values()]))
    called, shaded = [story.attribution.called(i) for i in shown], story.shaded(shown)
    drawn = {
        story.history.label(step): figures.logos(
            frame, called, shaded=shaded, ruler=story.ruler, limits=limits, start=start, end=end
        )
        for step, frame in frames.items()
    }
    return Film(drawn, "The same sequences each time, on one scale. Move the slider." + story.shading)


def _stack(story: Story) -> Picture:
    shown, steps = story.shown[0], evenly(story.history.steps, STACKED)
    stack = torch.stack([story.drawn(step)[shown] for step in steps])
    start, end = story.part(stack)
    figure = plot_logos(stack, [story.history.label(step) for step in steps], start=start, end=end)
    for ax in figure.axes:
        story.ruler.write(ax)
    figure.axes[-1].set_xlabel(story.ruler.label, **LITERAL_TEXT)
    called = story.attribution.called(shown)
    return Picture(figure, f"The attribution of {called} from the beginning to the end, on one scale.")


def _steadiness(story: Story) -> Figure | None:
    columns = {"cosine to the record before": f"{story.attribution.name}/similarity"}
    if story.seqlets is not None:
        columns |= {"seqlets": f"{story.seqlets.name}/count"}
        columns |= {"precision of strong seqlets": f"{story.seqlets.name}/precision"}
    lines = {label: story.history.line(name) for label, name in columns.items()}
    panels = {label: {"": line} for label, line in lines.items() if line}
    return figures.learning_curves(panels, unit="step") if panels else None


def _strongest(story: Story, strong: pd.DataFrame, n: int = 20) -> pd.DataFrame:
    """Return the strongest seqlets for a reader: which bases they are, what they look like and what they hit."""
    strong, X = strong.head(n), story.attribution.sequences
    spans = strong[["example_idx", "start", "end"]].itertuples(index=False)
    table = pd.DataFrame(
        {
            "sequence": [story.attribution.sequence_names[i] for i in strong["example_idx"]],
            "start": strong["start"] - story.ruler.zero,
            "end": strong["end"] - story.ruler.zero,
            "bases": [characters(X[i, :, start:end], allow_N=True) for i, start, end in spans],
            "attribution": strong["attribution"],
            "p-value": strong["p-value"],
        }
    )
    if "motif" in strong:
        table["looks like"] = strong["motif"].to_numpy()
    if story.known is not None:
        hits = overlap_mask(strong, story.known)
        table[f"overlaps {story.motif}"] = ["yes" if hit else "no" for hit in hits]
    return table


def evenly(steps: Sequence[int], most: int) -> list[int]:
    """Return at most so many of some steps, at even distances, the first and the last among them.

    Examples
    --------
    >>> evenly(range(11), 3)
    [0, 5, 10]
    """
    if len(steps) <= most:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]


def _spoken(name: str) -> str:
    return name.replace("attribution/", "attr. ").replace("_", " ")
