"""A user's files and folders: what can be one, how text is read, and whether a file is still the one opened."""
