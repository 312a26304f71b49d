"""The command line: `seqlight COMMAND --help` lists the options of a command."""
