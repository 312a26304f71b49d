"""The parameter-randomisation check: whether attributions change when a model forgets what it has learned.

``check``
    begin here: the check of a model, and of anything that explains it
``result``
    the table of similarities, and the sentence that it comes to
``layers``
    which layers a model has, from its output on, and how one is re-initialised
``parameter_copies``
    copies in place of the parameters of a model, so that its own are never written to
"""
