"""Check that each row's output depends on that row alone: not on the other rows of its batch, nor on chance.

check, probe
    begin here: methods of attribution refuse, predict warns
probe_rows
    choose the rows to run again, and keep their outputs
tolerance, float64
    tell a difference from rounding; where float32 cannot, in float64
chance, quantisation
    random numbers that a model draws; modules that round by the range of a whole batch
culprit
    find the first operation that mixes rows or draws numbers
"""
