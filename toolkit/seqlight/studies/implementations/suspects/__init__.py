"""Operations of a model that an implementation with hooks on modules treats wrongly.

``audited_operation``
    an operation of the table of :func:`seqlight.audit`, with the module that calls it
``data_flow``
    which modules get the results of which, in one call of the model
``rule_table``
    for which modules such an implementation sets hooks and has rules
``faults``, ``in_place``
    what goes wrong although there is a rule
``remedies``
    what a user can do about an operation without a rule
``find_suspects``
    all of these for a model
``captum``, ``tangermeme``, ``shap``
    the rules of the installed versions, and their faults
"""
