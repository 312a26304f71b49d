"""The recursive caller: seqlets are the longest spans whose inner spans are all rare."""
