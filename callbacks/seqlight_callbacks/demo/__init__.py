"""The demo: train a model on DNA, follow its attributions from epoch to epoch, and write a report."""
