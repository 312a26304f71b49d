"""Files and folders, whatever their format.

``paths`` and ``folder``
    check what users give as a file to read, a file to write, or a folder for results
``text``
    reads text in any of the forms that people have it in
``atomic``
    writes a file that is either complete or not there
``digests``
    tells whether two files, or arrays, have the same content
``stamp``
    tells whether a file has changed since it was opened
``source_types``
    the types of arguments that take a file or what would be in it
"""
