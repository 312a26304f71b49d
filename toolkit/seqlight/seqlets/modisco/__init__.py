"""The TF-MoDISco caller: seqlets are the most extreme windows of one width."""
