"""Run any model over many sequences, and give it back as it was.

predict
    the function: its batches, one after another
arguments, inputs, input_errors
    the model, device, dtype and further inputs that every call checks; their conversion; errors that say what to do
batch_size, device_memory, batch_runner
    how many rows go through the model at a time: as many as fit into the memory of a device, fewer where it runs out
outputs
    collect the outputs of batches, of any structure
borrowed_model
    prepare a model for a call and restore all of it, also among threads
row_independence
    check that the output for a row depends on that row alone
module_names, process_settings
    names for messages; settings that hold while any thread needs them
"""
