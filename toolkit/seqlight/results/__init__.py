"""The results of a run: a folder of shards that is written piece by piece, resumed, checked and read back."""
