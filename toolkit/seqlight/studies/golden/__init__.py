"""Attributions that a user's test keeps, and compares with in every run.

``pytest_plugin``
    the fixture `attribution_golden` and its option; all that pytest imports
``golden``
    what the fixture is: computes, writes or compares
``golden_record``, ``golden_difference``
    what is kept, and what moved, in one sentence
"""
