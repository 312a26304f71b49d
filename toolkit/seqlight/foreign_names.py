"""Where a name is that ``seqlight`` itself does not have: in one of its modules, or what it is called here."""

from __future__ import annotations

from importlib import import_module

# The modules whose names are public, too; those that load next to nothing say themselves what they have.
LIGHT = ("lit", "metrics", "datasets", "studies")
MODULES = (*LIGHT, "targets")
NAMES_IN = {
    "seqlight.targets": "Column Contrast Counts LogOdds NamedTarget Profile Specificity WindowMean",
    "seqlight_callbacks": "AttributionCallback AttributionReport LogoCallback RandomizationCallback SeqletCallback",
}

# Ours first, then what other packages call it, in lower case and without underscores.
NAMES = {
    "deep_lift_shap": "deepshap shap deepexplainer",
    "input_x_gradient": "saliency inputxgradient",
    "integrated_gradients": "integratedgradients",
    "saturation_mutagenesis": "ism mutagenesis occlusion featureablation",
    "dinucleotide_shuffle": "dinuclshuffle dinucshuffle",
    "predict": "marginalize ablate space substitutioneffect deletioneffect insertioneffect",
    "GenomeDataset": "extractloci",
    "write_fasta": "onehottofasta",
    "one_hot_encode": "onehot",
}


def find_advice(name: str) -> str:
    """Return where a name is, or what it is called here, as the end of a sentence; nothing if that is not known.

    Examples
    --------
    >>> find_advice("Counts"), find_advice("saliency"), find_advice("nothing")
    (': it is in seqlight.targets', ': here it is seqlight.input_x_gradient', '')
    """
    known = {place: names.split() for place, names in NAMES_IN.items()}
    known |= {place: import_module(place).__all__ for place in (f"seqlight.{one}" for one in LIGHT)}
    for place, names in known.items():
        if name in names:
            return f": it is in {place}"
    word = name.lower().replace("_", "")
    ours = next((one for one, others in NAMES.items() if word in others.split()), None)
    return "" if ours is None else f": here it is seqlight.{ours}"
