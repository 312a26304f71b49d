"""The results of a run: a folder of shards that several processes write, and a later start can complete.

::

    out/
      manifest.json       what the run is: rows, method, model and data, the latter as fingerprints
      shard-000000.npz    the arrays of the first rows; the name says which rows, and so does a comment in the file
      shard-000001.npz
      loci.npz            where in a genome each row is from, if the data say
      row_names.npz       what each row is called, if the data say
      .locks/rank-0000    held by each process while it lives

Writing
    ``run_folder`` claims the folder for a run, compares its manifest with the one that is there, and returns the
    shards that are missing. ``shard_buffer`` collects the rows of a shard, ``shards`` names, writes and maps one,
    ``loci`` and ``row_names`` write the places and the names of the rows, as a ``row_file`` each.
Who may write
    ``file_lock`` is a lock of the operating system, which ends with its process. ``lease`` takes its place on file
    systems that have no locks: a file that its holder touches while it lives.
Whether it is the same run
    ``fingerprints`` describe data, models and arguments, so that equal ones have equal descriptions in every process;
    the package ``identity`` does that for functions, classes and objects. ``shard_check`` tells whether a shard belongs
    to the run of the manifest and has all of its rows.
Reading
    ``results`` has `open_results` and `Results`; each array of it is a ``column``, read where it is indexed.
    ``consolidation`` writes all of it as one npz, HDF5 or Zarr file.
"""
