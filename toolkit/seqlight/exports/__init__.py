"""Files for other programs, made from a folder of results.

``exporter`` has `export`, the way in: it looks up each format, checks all of them, and writes one after the other.
``formats`` is the table of formats. ``array_files`` writes npz, HDF5 and Zarr, ``modisco_input`` the pair of files that
TF-MoDISco reads, ``track_files`` bigWig, ``row_files`` BED and FASTA, ``tables`` tab-separated tables.
``export_job`` is what all of them are given, and ``target_column`` one target of an array.
"""
