"""See what models of biological sequences learn.

``import seqlight as sl`` gives every public name at once; each is loaded when it is
first used, so that importing costs next to nothing.

Sequences
    random_one_hot, one_hot_encode, characters, reverse_complement,
    substitute, multisubstitute, insert, delete,
    randomize, shuffle, dinucleotide_shuffle
Predictions
    predict
Attributions
    deep_lift_shap, attribute, Explanation, Contrast,
    DeepLift, DeepLiftShap, hypothetical_attributions, audit, Audit,
    saturation_mutagenesis, input_x_gradient, integrated_gradients
Seqlets
    recursive_seqlets, tfmodisco_seqlets
Plots
    plot_logo
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.attribution.attributing import attribute as attribute
    from seqlight.attribution.audit.auditing import audit as audit
    from seqlight.attribution.audit.verdict import Audit as Audit
    from seqlight.attribution.deeplift import deep_lift_shap as deep_lift_shap
    from seqlight.attribution.explanation import Explanation as Explanation
    from seqlight.attribution.gradients import input_x_gradient as input_x_gradient
    from seqlight.attribution.integrating import integrated_gradients as integrated_gradients
    from seqlight.attribution.like_captum import DeepLift as DeepLift
    from seqlight.attribution.like_captum import DeepLiftShap as DeepLiftShap
    from seqlight.attribution.like_captum import hypothetical_attributions as hypothetical_attributions
    from seqlight.attribution.mutagenesis import saturation_mutagenesis as saturation_mutagenesis
    from seqlight.attribution.targets import Contrast as Contrast
    from seqlight.errors import ConvergenceError as ConvergenceError
    from seqlight.errors import ConvergenceWarning as ConvergenceWarning
    from seqlight.errors import InputError as InputError
    from seqlight.errors import IntegratedWarning as IntegratedWarning
    from seqlight.errors import ReferencesWarning as ReferencesWarning
    from seqlight.errors import SeqlightError as SeqlightError
    from seqlight.errors import SeqlightWarning as SeqlightWarning
    from seqlight.errors import ShuffleWarning as ShuffleWarning
    from seqlight.errors import UnsupportedOperation as UnsupportedOperation
    from seqlight.plot.logos import plot_logo as plot_logo
    from seqlight.prediction.batches import predict as predict
    from seqlight.seqlets.modisco import tfmodisco_seqlets as tfmodisco_seqlets
    from seqlight.seqlets.recursive import recursive_seqlets as recursive_seqlets
    from seqlight.sequence.edit import delete as delete
    from seqlight.sequence.edit import insert as insert
    from seqlight.sequence.edit import multisubstitute as multisubstitute
    from seqlight.sequence.edit import substitute as substitute
    from seqlight.sequence.onehot import characters as characters
    from seqlight.sequence.onehot import one_hot_encode as one_hot_encode
    from seqlight.sequence.onehot import random_one_hot as random_one_hot
    from seqlight.sequence.onehot import reverse_complement as reverse_complement
    from seqlight.sequence.shuffles import dinucleotide_shuffle as dinucleotide_shuffle
    from seqlight.sequence.shuffles import randomize as randomize
    from seqlight.sequence.shuffles import shuffle as shuffle

_CONTENTS = {
    "seqlight.sequence.onehot": ("random_one_hot", "one_hot_encode", "characters", "reverse_complement"),
    "seqlight.sequence.edit": ("substitute", "multisubstitute", "insert", "delete"),
    "seqlight.sequence.shuffles": ("randomize", "shuffle", "dinucleotide_shuffle"),
    "seqlight.prediction.batches": ("predict",),
    "seqlight.attribution.deeplift": ("deep_lift_shap",),
    "seqlight.attribution.attributing": ("attribute",),
    "seqlight.attribution.explanation": ("Explanation",),
    "seqlight.attribution.targets": ("Contrast",),
    "seqlight.attribution.audit.auditing": ("audit",),
    "seqlight.attribution.audit.verdict": ("Audit",),
    "seqlight.attribution.mutagenesis": ("saturation_mutagenesis",),
    "seqlight.attribution.gradients": ("input_x_gradient",),
    "seqlight.attribution.integrating": ("integrated_gradients",),
    "seqlight.attribution.like_captum": ("DeepLift", "DeepLiftShap", "hypothetical_attributions"),
    "seqlight.seqlets.recursive": ("recursive_seqlets",),
    "seqlight.seqlets.modisco": ("tfmodisco_seqlets",),
    "seqlight.plot.logos": ("plot_logo",),
    "seqlight.errors": (
        "SeqlightError",
        "InputError",
        "UnsupportedOperation",
        "SeqlightWarning",
        "ConvergenceError",
        "ConvergenceWarning",
        "IntegratedWarning",
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
        raise AttributeError(f"module 'seqlight' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
