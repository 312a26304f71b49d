"""Files of a user's: how they are named, opened as text, and known to be the same as before."""
