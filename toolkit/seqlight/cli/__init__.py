"""The command line: `seqlight COMMAND --help` tells each command's settings."""
