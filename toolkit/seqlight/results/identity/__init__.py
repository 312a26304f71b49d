"""Describe what an object computes, by a digest: equal in every process, and different after any change that matters.

``description``
    the way in: `Description` describes a value and its parts, each kind by one of the files below
``arrays``
    tensors and NumPy arrays, by dtype, shape and content
``functions``, ``bytecode``
    functions, by their compiled code and the values that they read
``classes``, ``objects``
    classes, by their methods, and objects, by their state
``modules``
    models: the code of their classes, their attributes and hooks
``byproducts``
    what code stores and never reads, which is left out
``origins``
    whether code is a library's, so that name and version are enough, or the user's own
"""
