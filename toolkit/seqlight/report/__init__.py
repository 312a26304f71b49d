"""Reports: one self-contained HTML page, and the pictures in it."""
