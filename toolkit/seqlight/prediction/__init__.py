"""Run any model over many sequences, and give it back as it was.

predict
    the function: its batches, one after another
arguments, inputs, input_errors
    the model, device, dtype and further inputs that every call checks; their conversion; errors that say what to do
batch_size, device_memory, batch_runner
    how many rows go through the model at a time: as many as fit into the memory of a device, fewer where it runs out
outputs, host_copies
    collect the outputs of batches, of any structure, while a device goes on computing
ensemble, ensemble_member, model_wrapper
    several models, strands and shifts as one model; modules around the model of a user
borrowed_model
    prepare a model for a call and restore all of it, also among threads
row_independence
    check that the output for a row depends on that row alone
changed_windows
    compute of sequences that differ from one in few positions only what these change
device_dtypes, float32_precision, process_settings
    the dtypes of a device, how exactly it computes; settings that hold while any thread needs them
module_names, convolution_padding, progress
    names for messages; the settings of convolutions; what is told of work that goes on
"""
