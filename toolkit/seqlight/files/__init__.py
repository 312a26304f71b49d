"""Files and folders: paths, text, digests, whether a file is still the one opened, and atomic writes."""
