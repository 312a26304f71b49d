"""The sections of a report, each a function of the data of a training."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import pandas as pd
import torch
from matplotlib.figure import Figure

from seqlight.metrics.motif_share import motif_interval_share, motif_window_share
from seqlight.metrics.overlap import overlap_mask
from seqlight.plot.logo_stack import plot_logos
from seqlight.plot.text import LITERAL_TEXT
from seqlight.report import figures
from seqlight.report.blocks import Block, Code, Film, Numbers, Picture, Section, Table, Text
from seqlight.sequence.one_hot import characters
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.history import History
from seqlight_callbacks.report_data import ReportData, spread_evenly

# How many frames of a film, and logos in a stack, a reader can take in.
MOST_FRAMES, MOST_LOGOS = 60, 8
SPLITS = ("train", "training", "val", "valid", "validation", "test")
PACKAGES = ("seqlight", "torch", "lightning", "torchmetrics", "numpy", "pandas", "matplotlib")


def make_sections(
    data: ReportData, model: str, metrics: Sequence[str] | None = None, ending: str = ""
) -> list[Section]:
    """Return all sections of a report, in order.

    Parameters
    ----------
    data : ReportData
        The training.
    model : str
        What to call the model.
    metrics : sequence of str, optional
        Which logged numbers to draw; None for all except those of the callbacks.
    ending : str
        A sentence on how the training ended, if early.
    """
    names = data.history.scalar_names()
    callbacks = tuple(f"{one.name}/" for one in (data.attribution, data.seqlets) if one is not None)
    drawn = [name for name in names if not name.startswith(callbacks)] if metrics is None else metrics
    sections = [summary_section(data, model, ending)]
    if any(data.history.curve(name) for name in drawn):
        sections.append(curves_section(data, drawn))
    sections += [attribution_section(data), logo_section(data)]
    if data.seqlets is not None and data.seqlets.seqlets is not None:
        sections.append(seqlet_section(data))
    if names:
        sections.append(scalar_section(data, names))
    return [*sections, Section("Made with", [Code(package_versions())])]


def summary_section(data: ReportData, model: str, ending: str = "") -> Section:
    """Return what was done, and the few numbers that say most."""
    attribution = data.attribution
    n, length = len(attribution.sequences), attribution.sequences.shape[2]
    method = f", by {attribution.method}" if isinstance(attribution, AttributionCallback) else ""
    text = (
        f"The output of {model} was attributed to the single characters of {n} sequences of {length} positions"
        f"{method}, each time {_when_recorded(data.history)}.{ending}"
    )
    if broken := data.history.non_finite_steps():
        first = data.history.label(broken[0]) if broken[0] else "after epoch 0"
        times = {1: "", 2: ", and once more"}.get(len(broken), f", and {len(broken) - 1} more times")
        text += f" {first.capitalize()}{times}, attributions were not finite; nothing is drawn for these."
    numbers = _key_numbers(data)
    return Section("In short", [Numbers(numbers), Text(text)] if numbers else [Text(text)])


def curves_section(data: ReportData, names: Sequence[str]) -> Section:
    """Return curves of the numbers logged under these names."""
    panels = group_curves({name: data.history.curve(name) for name in names})
    return Section(
        "How the training went", [Picture(figures.learning_curves(panels, unit="step"), "What was logged, by step.")]
    )


def attribution_section(data: ReportData) -> Section:
    """Return how the attribution changed from record to record."""
    blocks: list[Block] = [_attribution_by_place(data), _film(data), _logo_stack(data)]
    stability = _stability_curves(data)
    if stability is not None:
        blocks.append(Picture(stability, "How steady the attributions are, and the seqlets in them, by step."))
    return Section("How the attribution moved", blocks)


def logo_section(data: ReportData) -> Section:
    """Return logos of the last record."""
    shown, last = data.shown, data.last_step
    attributions, outputs = data.finite_attributions(last)[shown], data.history.outputs[last]
    start, end = data.visible_range(attributions)
    titles = [f"{data.attribution.sequence_label(i)}, output {float(outputs[i]):+.2f}" for i in shown]
    table = None if data.seqlets is None else data.seqlets.seqlets
    shaded = data.shaded(shown)
    picture = figures.logos(attributions, titles, table, shown, shaded, data.ruler, start=start, end=end)
    which = "chosen sequences" if data.examples else f"{len(shown)} sequences with the highest output"
    caption = f"The {which}, {data.history.label(last)}. A letter is as tall as what its base adds to the output"
    caption += "" if table is None else "; bars are seqlets, with the sum of their attribution"
    return Section("What it looks at", [Picture(picture, f"{caption}.{data.shading_caption}")])


def seqlet_section(data: ReportData) -> Section:
    """Return the seqlets of the last record: their positions, and a table of the strongest."""
    assert data.seqlets is not None
    strong = data.seqlets.strong_positive()
    window = data.attribution.window
    known = data.seqlets.known if window is None else None
    places = figures.seqlet_places(strong, data.attribution.sequences.shape[2], window, data.ruler, known)
    caption = (
        f"How many of the {len(strong)} strong positive seqlets (p < {data.seqlets.strong:g}) cover each position."
    )
    caption += data.shading_caption if known is None else f" The outline is where the {data.motif} are."
    note = f"The strongest of them. Positions count from {data.ruler.start}, and the end is not part of it."
    return Section("Seqlets", [Picture(places, caption), Table(_strongest_seqlets(data, strong), note)])


def scalar_section(data: ReportData, names: Sequence[str]) -> Section:
    """Return a table of the numbers logged under these names, by step."""
    curves = {name: data.history.curve(name) for name in names}
    table = pd.DataFrame(curves).sort_index().rename_axis("step").reset_index()
    table.insert(0, "epoch", [data.history.epoch(step) for step in table["step"]])
    table.columns = [name.replace("attribution/", "attr. ").replace("_", " ") for name in table.columns]
    return Section("All numbers", [Table(table, "What was logged at each validation, and at the end of each epoch.")])


def package_versions() -> str:
    """Return the versions that results may depend on, one per line."""
    return "\n".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)])


def group_curves(curves: Mapping[str, Mapping[int, float]], most: int = 4) -> dict[str, dict[str, Mapping[int, float]]]:
    """Group curves into panels, with one number in training and in validation in the same panel.

    Examples
    --------
    >>> group_curves({"train_loss": {1: 0.5}, "val/loss": {1: 0.6}, "lr": {1: 0.1}})
    {'loss': {'train': {1: 0.5}, 'val': {1: 0.6}}, 'lr': {'': {1: 0.1}}}
    """
    panels: dict[str, dict[str, Mapping[int, float]]] = {}
    for name, curve in curves.items():
        words = name.replace("/", "_").split("_")
        split = next((word for word in words if word in SPLITS), "")
        label = " ".join(word for word in words if word != split)
        if label in panels or len(panels) < most:
            panels.setdefault(label, {})[split] = curve
    return panels


def _when_recorded(history: History) -> str:
    trained = [epoch for epoch in history.epochs if epoch]
    if not trained:
        return "at the end of no epoch, but before the training"
    first = ", and before the first" * (0 in history.epochs)
    n, epochs = len(trained), len(set(trained))
    ends = "an epoch" if epochs == 1 else f"{epochs} epochs"
    if history.only_epoch_ends:
        return f"at the end of {ends}{first}"
    return ("at a step of " if n == 1 else f"at {n} steps of ") + ends + first


def _key_numbers(data: ReportData) -> dict[str, str]:
    """Return the numbers of the last record that say most, as text."""
    scalars = data.history.scalars.get(data.last_step, {})
    attribution, seqlets = data.attribution.name, None if data.seqlets is None else data.seqlets.name
    wanted = {
        "largest convergence delta": (f"{attribution}/delta", "{:.2g}"),
        f"of positive attribution is in the {data.motif}": (f"{attribution}/window_share", "{:.0%}"),
        "cosine to the record before": (f"{attribution}/similarity", "{:.3f}"),
        f"of the {data.motif} are found by strong seqlets": (f"{seqlets}/recall", "{:.0%}"),
        f"of strong seqlets overlap the {data.motif}": (f"{seqlets}/precision", "{:.0%}"),
    }
    return {label: form.format(scalars[name]) for label, (name, form) in wanted.items() if name in scalars}


def _attribution_by_place(data: ReportData) -> Picture:
    """Return where the attribution was: by kind of known interval, or by position, where all have the same window."""
    history, window, known = data.history, data.attribution.window, data.known
    before_training = " 0 is before training." * (history.steps[0] == 0)
    if window is None and known is not None and "motif" in known and len(known):
        frames = {step: history.attributions(step) for step in history.steps}
        curves = {
            str(motif) or data.motif: {step: float(motif_interval_share(one, rows)) for step, one in frames.items()}
            for motif, rows in known.groupby("motif")
        }
        curves["elsewhere"] = {step: 1 - sum(curve[step] for curve in curves.values()) for step in frames}
        figure = figures.learning_curves({"share of positive attribution": curves}, unit="step")
        return Picture(figure, f"How much of the positive attribution lies in the {data.motif}.{before_training}")
    shares = window and [float(motif_window_share(history.attributions(step), *window)) for step in history.steps]
    heat = figures.attribution_by_epoch(history.profiles(), shares, window, data.ruler, history.steps, unit="step")
    lines = f" Between the lines is the {data.motif}, and on the right what share of it all lies there." * bool(window)
    caption = "Where positive attribution lies, mean over the sequences; a row for each record, by step."
    return Picture(heat, caption + before_training + lines)


def _film(data: ReportData) -> Film:
    """Return logos of a few sequences at each record, on one scale."""
    shown = data.shown[: max(2, len(data.examples))]
    steps = spread_evenly(data.history.steps, MOST_FRAMES)
    frames = {step: data.finite_attributions(step)[shown] for step in steps}
    start, end = data.visible_range(frames[steps[-1]])
    limits = figures.logo_limits(torch.stack([frame[..., start:end] for frame in frames.values()]))
    titles, shaded = [data.attribution.sequence_label(i) for i in shown], data.shaded(shown)
    drawn = {
        data.history.label(step): figures.logos(
            frame, titles, shaded=shaded, ruler=data.ruler, limits=limits, start=start, end=end
        )
        for step, frame in frames.items()
    }
    return Film(drawn, "The same sequences each time, on one scale. Move the slider." + data.shading_caption)


def _logo_stack(data: ReportData) -> Picture:
    """Return logos of one sequence at a few records, below each other."""
    example, steps = data.shown[0], spread_evenly(data.history.steps, MOST_LOGOS)
    stack = torch.stack([data.finite_attributions(step)[example] for step in steps])
    start, end = data.visible_range(stack)
    figure = plot_logos(stack, [data.history.label(step) for step in steps], start=start, end=end)
    for ax in figure.axes:
        data.ruler.write(ax)
    figure.axes[-1].set_xlabel(data.ruler.label, **LITERAL_TEXT)
    label = data.attribution.sequence_label(example)
    return Picture(figure, f"The attribution of {label} from the beginning to the end, on one scale.")


def _stability_curves(data: ReportData) -> Figure | None:
    names = {"cosine to the record before": f"{data.attribution.name}/similarity"}
    if data.seqlets is not None:
        names |= {"seqlets": f"{data.seqlets.name}/count"}
        names |= {"precision of strong seqlets": f"{data.seqlets.name}/precision"}
    curves = {label: data.history.curve(name) for label, name in names.items()}
    panels = {label: {"": curve} for label, curve in curves.items() if curve}
    return figures.learning_curves(panels, unit="step") if panels else None


def _strongest_seqlets(data: ReportData, strong: pd.DataFrame, n: int = 20) -> pd.DataFrame:
    """Return a table of the strongest seqlets: position, bases, matching motif, and overlap with known intervals."""
    strong, X = strong.head(n), data.attribution.sequences
    spans = strong[["example_idx", "start", "end"]].itertuples(index=False)
    table = pd.DataFrame(
        {
            "sequence": [data.attribution.sequence_names[i] for i in strong["example_idx"]],
            "start": strong["start"] - data.ruler.zero,
            "end": strong["end"] - data.ruler.zero,
            "bases": [characters(X[i, :, start:end], allow_N=True) for i, start, end in spans],
            "attribution": strong["attribution"],
            "p-value": strong["p-value"],
        }
    )
    if "motif" in strong:
        table["looks like"] = strong["motif"].to_numpy()
    if data.known is not None:
        hits = overlap_mask(strong, data.known)
        table[f"overlaps {data.motif}"] = ["yes" if hit else "no" for hit in hits]
    return table
