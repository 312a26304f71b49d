"""Draw attributions as logos, with the seqlets found in them."""
