"""Implementations of attribution under one small interface.

``implementation``
    `Implementation`: a function to contributions, and what it promises
``registry``
    those that installed packages offer
``deep_lift_shap``, ``mutagenesis``, ``input_x_gradient``
    ours
``tangermeme``, ``shap``, ``captum_deeplift``, ``captum_integrated_gradients``
    those of others, as shipped
``captum_smoothgrad``, ``captum_expected_gradients``, ``captum_occlusion``
    optional ones, which take part if they are named
``chance``
    contributions at random
``stored_array``
    contributions of a file
``pairs``, ``one_column``, ``seed``
    what those of others need: one baseline a row, one column of the output, a seed
"""

from seqlight.studies.implementations.implementation import Implementation, Suspect
from seqlight.studies.implementations.registry import choose_implementations, known_implementations
from seqlight.studies.implementations.stored_array import stored_array

__all__ = ["Implementation", "Suspect", "choose_implementations", "known_implementations", "stored_array"]
