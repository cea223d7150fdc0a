"""Data sets, their splits, and the batches that a network is trained on."""
