"""Each metric as a torchmetrics.Metric, which runs over batches and processes; one file for each file of functions."""
