"""Numbers that say how good attributions and seqlets are: each as a function, and as a class that runs over batches.

``from seqlight.metrics import convergence_delta, ConvergenceDelta``: the class is a ``torchmetrics.Metric``. Over any
batches, on any number of processes, it gives what the function gives for all rows at once.

Completeness
    convergence_delta, reference_standard_error
Concentration
    attribution_entropy, effective_positions, attribution_gini
Consistency of maps as a whole
    attribution_consistency, kmer_consistency
Where the motif is
    motif_window_share, motif_interval_share, seqlet_recall, seqlet_precision, seqlet_iou
Similarity of two attributions
    attribution_similarity, method_agreement
Faithfulness to the model
    faithfulness_curve, faithfulness_area
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seqlight.metrics.classes.completeness import ConvergenceDelta as ConvergenceDelta
    from seqlight.metrics.classes.completeness import ReferenceStandardError as ReferenceStandardError
    from seqlight.metrics.classes.concentration import AttributionEntropy as AttributionEntropy
    from seqlight.metrics.classes.concentration import AttributionGini as AttributionGini
    from seqlight.metrics.classes.concentration import EffectivePositions as EffectivePositions
    from seqlight.metrics.classes.consistency import AttributionConsistency as AttributionConsistency
    from seqlight.metrics.classes.consistency import KmerConsistency as KmerConsistency
    from seqlight.metrics.classes.faithfulness import FaithfulnessArea as FaithfulnessArea
    from seqlight.metrics.classes.faithfulness import FaithfulnessCurve as FaithfulnessCurve
    from seqlight.metrics.classes.motif_share import MotifIntervalShare as MotifIntervalShare
    from seqlight.metrics.classes.motif_share import MotifWindowShare as MotifWindowShare
    from seqlight.metrics.classes.seqlet_recovery import SeqletIoU as SeqletIoU
    from seqlight.metrics.classes.seqlet_recovery import SeqletPrecision as SeqletPrecision
    from seqlight.metrics.classes.seqlet_recovery import SeqletRecall as SeqletRecall
    from seqlight.metrics.classes.similarity import AttributionSimilarity as AttributionSimilarity
    from seqlight.metrics.classes.similarity import MethodAgreement as MethodAgreement
    from seqlight.metrics.completeness import convergence_delta as convergence_delta
    from seqlight.metrics.completeness import reference_standard_error as reference_standard_error
    from seqlight.metrics.concentration import attribution_entropy as attribution_entropy
    from seqlight.metrics.concentration import attribution_gini as attribution_gini
    from seqlight.metrics.concentration import effective_positions as effective_positions
    from seqlight.metrics.consistency import attribution_consistency as attribution_consistency
    from seqlight.metrics.faithfulness import faithfulness_area as faithfulness_area
    from seqlight.metrics.faithfulness import faithfulness_curve as faithfulness_curve
    from seqlight.metrics.kmer_frequencies import kmer_consistency as kmer_consistency
    from seqlight.metrics.motif_share import motif_interval_share as motif_interval_share
    from seqlight.metrics.motif_share import motif_window_share as motif_window_share
    from seqlight.metrics.seqlet_recovery import seqlet_iou as seqlet_iou
    from seqlight.metrics.seqlet_recovery import seqlet_precision as seqlet_precision
    from seqlight.metrics.seqlet_recovery import seqlet_recall as seqlet_recall
    from seqlight.metrics.similarity import attribution_similarity as attribution_similarity
    from seqlight.metrics.similarity import method_agreement as method_agreement

_CONTENTS = {
    "completeness": ("convergence_delta", "reference_standard_error"),
    "concentration": ("attribution_entropy", "effective_positions", "attribution_gini"),
    "consistency": ("attribution_consistency",),
    "kmer_frequencies": ("kmer_consistency",),
    "motif_share": ("motif_window_share", "motif_interval_share"),
    "seqlet_recovery": ("seqlet_recall", "seqlet_precision", "seqlet_iou"),
    "similarity": ("attribution_similarity", "method_agreement"),
    "faithfulness": ("faithfulness_curve", "faithfulness_area"),
    "classes.concentration": ("AttributionEntropy", "EffectivePositions", "AttributionGini"),
    "classes.consistency": ("AttributionConsistency", "KmerConsistency"),
    "classes.similarity": ("AttributionSimilarity", "MethodAgreement"),
    "classes.motif_share": ("MotifWindowShare", "MotifIntervalShare"),
    "classes.seqlet_recovery": ("SeqletRecall", "SeqletPrecision", "SeqletIoU"),
    "classes.completeness": ("ConvergenceDelta", "ReferenceStandardError"),
    "classes.faithfulness": ("FaithfulnessCurve", "FaithfulnessArea"),
}
_HOME = {name: f"seqlight.metrics.{module}" for module, names in _CONTENTS.items() for name in names}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'seqlight.metrics' has no attribute {name!r}")
    # The classes load torchmetrics, the functions do not.
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
