"""Run a model on sequences that differ from one in few positions, and compute only what these change.

windows
    what changed of a tensor: some positions of each row; everywhere else it is that of the reference
differences
    windows by their difference from the reference, known or to be computed where it is needed
native_windows
    windows of each row's own in compiled loops
flat_windows
    the same where all positions were flattened into one dimension
changed_tensor
    begin here: the tensor that a model gets, which answers as if it were whole
reference_outputs
    what each operation made of the reference, computed once
largest_output
    how much memory the rest of a model takes
memory_layout
    whether the channels of a position lie side by side
prepared_weights
    weights in the layout that a rule needs
call
    a call of PyTorch with such tensors among its arguments
three_taps
    convolutions of three taps, and the ReLU after them, in a compiled loop
pointwise, difference_rules, convolutions, pools, layouts, reductions, dense_layers
    the rules: where a change goes in an operation
cancellation
    where a difference from the reference would have too few digits
table
    which operation has which rule
"""
