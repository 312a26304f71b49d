"""The command line: `seqlight COMMAND --help` lists the options of a command.

The command ``seqlight NAME`` is the function ``NAME_command`` in a file of that name. It must not have the name of a
public function of ``seqlight``, which jsonargparse would look up, and load PyTorch to print a help. For the same reason
commands import what they need when they run.
"""
