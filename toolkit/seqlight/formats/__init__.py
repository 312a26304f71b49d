"""File formats of the field, readers beside writers: FASTA, BED, bigWig, MEME, npz, and the input of TF-MoDISco."""
