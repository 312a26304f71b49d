"""Validation studies: which implementation of attribution can be believed, on which model, and by how much.

``case``, ``cell``
    what is asked of an implementation, and what came of it
``implementations``
    ours and those of others, under one small interface
``suites``
    cases for studies by operation, by architecture, and others
"""
