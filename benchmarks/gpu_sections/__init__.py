"""The sections of ``benchmarks/gpu_check.py``, each a function that takes the :class:`~gpu_sections.bench.Bench`."""
