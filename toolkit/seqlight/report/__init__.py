"""Reports: a self-contained HTML page and its figures."""
