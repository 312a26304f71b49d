"""The attribution methods that a user calls, one a file."""
