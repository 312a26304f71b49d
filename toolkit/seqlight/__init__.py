"""See what models of biological sequences learn.

``import seqlight as sl`` gives every public name at once; each is loaded when it is
first used, so that importing costs next to nothing.

Sequences
    random_one_hot, one_hot_encode, characters, reverse_complement,
    substitute, multisubstitute, insert, delete,
    randomize, shuffle, dinucleotide_shuffle
Predictions
    predict, Ensemble
Attributions
    deep_lift_shap, attribute, Explanation, Contrast,
    DeepLift, DeepLiftShap, hypothetical_attributions, audit, Audit,
    LayerDeepLift, LayerDeepLiftShap, NeuronDeepLift, NeuronDeepLiftShap,
    saturation_mutagenesis, input_x_gradient, integrated_gradients, differentiable_attributions
Seqlets
    recursive_seqlets, tfmodisco_seqlets, calibrated_seqlets, shuffled_control,
    overlap, cut_seqlets, annotate_seqlets, to_genome, Loci, read_meme, read_jaspar, jaspar_motifs
Data
    Genome, GenomeDataset, FastaDataset, ArrayDataset, Signals, TrainingOrder, read_bed
Files
    write_modisco, write_bed, write_bigwig, write_fasta, write_meme
Plots
    plot_logo, plot_logos, plot_tracks, plot_mutagenesis, plot_pwm, plot_reference_convergence,
    plot_parameter_randomization, plot_filters, plot_ledger, interactive_logo, write_logos
Reports
    write_report
Many devices
    run, track, open_results, Results, consolidate, export, and the modules in seqlight.lit
More
    the modules seqlight.targets, seqlight.metrics, seqlight.datasets and seqlight.studies, as sl.targets and so on
Tests
    the pytest fixture attribution_golden (PYTEST_DONT_REWRITE: its assertions are not those of your tests)
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.attribution.audit.model_audit import audit as audit
    from seqlight.attribution.audit.result import Audit as Audit
    from seqlight.attribution.explanation import Explanation as Explanation
    from seqlight.attribution.methods.captum_classes import DeepLift as DeepLift
    from seqlight.attribution.methods.captum_classes import DeepLiftShap as DeepLiftShap
    from seqlight.attribution.methods.captum_layers import LayerDeepLift as LayerDeepLift
    from seqlight.attribution.methods.captum_layers import LayerDeepLiftShap as LayerDeepLiftShap
    from seqlight.attribution.methods.captum_neurons import NeuronDeepLift as NeuronDeepLift
    from seqlight.attribution.methods.captum_neurons import NeuronDeepLiftShap as NeuronDeepLiftShap
    from seqlight.attribution.methods.deeplift import deep_lift_shap as deep_lift_shap
    from seqlight.attribution.methods.deeplift_explanation import attribute as attribute
    from seqlight.attribution.methods.differentiable import differentiable_attributions as differentiable_attributions
    from seqlight.attribution.methods.gradients import input_x_gradient as input_x_gradient
    from seqlight.attribution.methods.hypothetical import hypothetical_attributions as hypothetical_attributions
    from seqlight.attribution.methods.integrated_gradient import integrated_gradients as integrated_gradients
    from seqlight.attribution.methods.mutagenesis import saturation_mutagenesis as saturation_mutagenesis
    from seqlight.datasets.array_dataset import ArrayDataset as ArrayDataset
    from seqlight.datasets.fasta_dataset import FastaDataset as FastaDataset
    from seqlight.datasets.genome_dataset import GenomeDataset as GenomeDataset
    from seqlight.datasets.sampler import TrainingOrder as TrainingOrder
    from seqlight.datasets.signals import Signals as Signals
    from seqlight.errors import BatchWarning as BatchWarning
    from seqlight.errors import ConvergenceError as ConvergenceError
    from seqlight.errors import ConvergenceWarning as ConvergenceWarning
    from seqlight.errors import InputError as InputError
    from seqlight.errors import IntegratedWarning as IntegratedWarning
    from seqlight.errors import KernelWarning as KernelWarning
    from seqlight.errors import MemoryWarning as MemoryWarning
    from seqlight.errors import MissingExtra as MissingExtra
    from seqlight.errors import OutOfMemory as OutOfMemory
    from seqlight.errors import RandomizationWarning as RandomizationWarning
    from seqlight.errors import ReferencesWarning as ReferencesWarning
    from seqlight.errors import ResultsError as ResultsError
    from seqlight.errors import SeqlightError as SeqlightError
    from seqlight.errors import SeqlightWarning as SeqlightWarning
    from seqlight.errors import ShuffleWarning as ShuffleWarning
    from seqlight.errors import UnsupportedOperation as UnsupportedOperation
    from seqlight.exports.exporter import export as export
    from seqlight.formats.bed_reader import read_bed as read_bed
    from seqlight.formats.bed_writer import write_bed as write_bed
    from seqlight.formats.bigwig_writer import write_bigwig as write_bigwig
    from seqlight.formats.fasta_writer import write_fasta as write_fasta
    from seqlight.formats.genome import Genome as Genome
    from seqlight.formats.jaspar_reader import read_jaspar as read_jaspar
    from seqlight.formats.meme_reader import read_meme as read_meme
    from seqlight.formats.meme_writer import write_meme as write_meme
    from seqlight.formats.modisco_writer import write_modisco as write_modisco
    from seqlight.formats.motifs import jaspar_motifs as jaspar_motifs
    from seqlight.lit.genome_track import track as track
    from seqlight.lit.run import run as run
    from seqlight.metrics.overlap import overlap as overlap
    from seqlight.plot.filter_map import plot_filters as plot_filters
    from seqlight.plot.interactive_logo import interactive_logo as interactive_logo
    from seqlight.plot.ledger_bars import plot_ledger as plot_ledger
    from seqlight.plot.logo import plot_logo as plot_logo
    from seqlight.plot.logo_page import write_logos as write_logos
    from seqlight.plot.logo_stack import plot_logos as plot_logos
    from seqlight.plot.mutagenesis_map import plot_mutagenesis as plot_mutagenesis
    from seqlight.plot.parameter_randomization import plot_parameter_randomization as plot_parameter_randomization
    from seqlight.plot.pwm_logo import plot_pwm as plot_pwm
    from seqlight.plot.reference_convergence import plot_reference_convergence as plot_reference_convergence
    from seqlight.plot.tracks import plot_tracks as plot_tracks
    from seqlight.prediction.ensemble import Ensemble as Ensemble
    from seqlight.prediction.predict import predict as predict
    from seqlight.report.results_page import write_report as write_report
    from seqlight.results.consolidation import consolidate as consolidate
    from seqlight.results.results import Results as Results
    from seqlight.results.results import open_results as open_results
    from seqlight.seqlets.annotation import annotate_seqlets as annotate_seqlets
    from seqlight.seqlets.cuts import cut_seqlets as cut_seqlets
    from seqlight.seqlets.genome_coordinates import to_genome as to_genome
    from seqlight.seqlets.modisco.caller import tfmodisco_seqlets as tfmodisco_seqlets
    from seqlight.seqlets.recursive.calibration import calibrated_seqlets as calibrated_seqlets
    from seqlight.seqlets.recursive.caller import recursive_seqlets as recursive_seqlets
    from seqlight.seqlets.recursive.control import shuffled_control as shuffled_control
    from seqlight.sequence.edit import delete as delete
    from seqlight.sequence.edit import insert as insert
    from seqlight.sequence.edit import multisubstitute as multisubstitute
    from seqlight.sequence.edit import substitute as substitute
    from seqlight.sequence.loci import Loci as Loci
    from seqlight.sequence.one_hot import characters as characters
    from seqlight.sequence.one_hot import one_hot_encode as one_hot_encode
    from seqlight.sequence.one_hot import random_one_hot as random_one_hot
    from seqlight.sequence.one_hot import reverse_complement as reverse_complement
    from seqlight.sequence.shuffles import dinucleotide_shuffle as dinucleotide_shuffle
    from seqlight.sequence.shuffles import randomize as randomize
    from seqlight.sequence.shuffles import shuffle as shuffle
    from seqlight.targets.contrast import Contrast as Contrast

_CONTENTS = {
    "seqlight.sequence.one_hot": ("random_one_hot", "one_hot_encode", "characters", "reverse_complement"),
    "seqlight.sequence.edit": ("substitute", "multisubstitute", "insert", "delete"),
    "seqlight.sequence.shuffles": ("randomize", "shuffle", "dinucleotide_shuffle"),
    "seqlight.prediction.predict": ("predict",),
    "seqlight.prediction.ensemble": ("Ensemble",),
    "seqlight.attribution.methods.deeplift": ("deep_lift_shap",),
    "seqlight.attribution.methods.deeplift_explanation": ("attribute",),
    "seqlight.attribution.methods.differentiable": ("differentiable_attributions",),
    "seqlight.attribution.explanation": ("Explanation",),
    "seqlight.targets.contrast": ("Contrast",),
    "seqlight.attribution.audit.model_audit": ("audit",),
    "seqlight.attribution.audit.result": ("Audit",),
    "seqlight.attribution.methods.mutagenesis": ("saturation_mutagenesis",),
    "seqlight.attribution.methods.gradients": ("input_x_gradient",),
    "seqlight.attribution.methods.integrated_gradient": ("integrated_gradients",),
    "seqlight.attribution.methods.captum_classes": ("DeepLift", "DeepLiftShap"),
    "seqlight.attribution.methods.captum_layers": ("LayerDeepLift", "LayerDeepLiftShap"),
    "seqlight.attribution.methods.captum_neurons": ("NeuronDeepLift", "NeuronDeepLiftShap"),
    "seqlight.attribution.methods.hypothetical": ("hypothetical_attributions",),
    "seqlight.seqlets.recursive.caller": ("recursive_seqlets",),
    "seqlight.seqlets.modisco.caller": ("tfmodisco_seqlets",),
    "seqlight.seqlets.recursive.calibration": ("calibrated_seqlets",),
    "seqlight.seqlets.recursive.control": ("shuffled_control",),
    "seqlight.metrics.overlap": ("overlap",),
    "seqlight.seqlets.cuts": ("cut_seqlets",),
    "seqlight.seqlets.annotation": ("annotate_seqlets",),
    "seqlight.seqlets.genome_coordinates": ("to_genome",),
    "seqlight.sequence.loci": ("Loci",),
    "seqlight.formats.jaspar_reader": ("read_jaspar",),
    "seqlight.formats.meme_reader": ("read_meme",),
    "seqlight.formats.motifs": ("jaspar_motifs",),
    "seqlight.formats.genome": ("Genome",),
    "seqlight.datasets.genome_dataset": ("GenomeDataset",),
    "seqlight.datasets.fasta_dataset": ("FastaDataset",),
    "seqlight.datasets.array_dataset": ("ArrayDataset",),
    "seqlight.datasets.signals": ("Signals",),
    "seqlight.datasets.sampler": ("TrainingOrder",),
    "seqlight.formats.bed_reader": ("read_bed",),
    "seqlight.formats.modisco_writer": ("write_modisco",),
    "seqlight.formats.bed_writer": ("write_bed",),
    "seqlight.formats.bigwig_writer": ("write_bigwig",),
    "seqlight.formats.fasta_writer": ("write_fasta",),
    "seqlight.formats.meme_writer": ("write_meme",),
    "seqlight.plot.logo": ("plot_logo",),
    "seqlight.plot.logo_stack": ("plot_logos",),
    "seqlight.plot.tracks": ("plot_tracks",),
    "seqlight.plot.mutagenesis_map": ("plot_mutagenesis",),
    "seqlight.plot.pwm_logo": ("plot_pwm",),
    "seqlight.plot.reference_convergence": ("plot_reference_convergence",),
    "seqlight.plot.parameter_randomization": ("plot_parameter_randomization",),
    "seqlight.plot.filter_map": ("plot_filters",),
    "seqlight.plot.ledger_bars": ("plot_ledger",),
    "seqlight.plot.interactive_logo": ("interactive_logo",),
    "seqlight.plot.logo_page": ("write_logos",),
    "seqlight.report.results_page": ("write_report",),
    "seqlight.lit.run": ("run",),
    "seqlight.lit.genome_track": ("track",),
    "seqlight.results.results": ("open_results", "Results"),
    "seqlight.results.consolidation": ("consolidate",),
    "seqlight.exports.exporter": ("export",),
    "seqlight.errors": (
        "SeqlightError",
        "InputError",
        "MissingExtra",
        "OutOfMemory",
        "ResultsError",
        "UnsupportedOperation",
        "SeqlightWarning",
        "BatchWarning",
        "ConvergenceError",
        "ConvergenceWarning",
        "IntegratedWarning",
        "KernelWarning",
        "MemoryWarning",
        "RandomizationWarning",
        "ReferencesWarning",
        "ShuffleWarning",
    ),
}
_HOME = {name: module for module, names in _CONTENTS.items() for name in names}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("seqlight")
    if name not in _HOME:
        return _find_elsewhere(name)
    with _without_collection():
        found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def _find_elsewhere(name: str) -> Any:
    """Return a module of public names; AttributeError for anything else, with the place of a name that is known."""
    advice = ""
    if not name.startswith("_"):  # asked for by other programs
        from seqlight.foreign_names import MODULES, find_advice

        if name in MODULES:
            return import_module(f"seqlight.{name}")
        advice = find_advice(name)
    raise AttributeError(f"module 'seqlight' has no attribute {name!r}{advice}", name=name, obj=sys.modules[__name__])


@contextmanager
def _without_collection() -> Iterator[None]:
    """Import without garbage collection, which would search all objects of PyTorch for garbage that is not there."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def __dir__() -> list[str]:
    return sorted(__all__)
