"""What an object computes, as a digest: equal in every process, another one after any change that could matter."""
