"""Check that each row's output depends on that row alone: not on the other rows of its batch, nor on chance.

check
    begin here: predict warns, methods of attribution refuse
probe_rows
    choose the rows to run again, and keep their outputs
tolerance, float64
    tell a difference from rounding; where float32 cannot, in float64
culprit
    find the first operation that mixes rows or draws numbers
"""
