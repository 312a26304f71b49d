"""How each operation is explained, and the table of which is explained by what."""
