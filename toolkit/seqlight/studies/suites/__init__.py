"""Suites: the cases of each study."""
