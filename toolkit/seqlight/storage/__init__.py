"""Files that other programs read: one module a format, each file whole under its name or not there."""
