"""The metrics as torchmetrics.Metric: sums that run over batches and processes."""
