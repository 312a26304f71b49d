"""Two runs of a study, cell by cell, for continuous integration.

``comparison``
    `compare`, and `Comparison`: which cells moved, why, and whether that is a failure
``contribution_difference``
    by how much contributions moved, as a share of the largest of their row
``setting_changes``, ``model_parts``
    what differs between what was asked: weights, code, sequences, seed, versions
"""
