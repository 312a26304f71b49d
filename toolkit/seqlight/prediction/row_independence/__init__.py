"""Check that each row's output depends on that row alone: not on the other rows of its batch, nor on chance."""
