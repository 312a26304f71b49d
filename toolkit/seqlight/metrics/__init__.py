"""Numbers that say how good attributions and seqlets are, as pure functions of tensors and tables."""
