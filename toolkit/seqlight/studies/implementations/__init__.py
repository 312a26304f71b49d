"""Implementations of attribution under one small interface.

``implementation``
    `Implementation`: a function to contributions, and what it promises
``registry``
    those that installed packages offer
"""
