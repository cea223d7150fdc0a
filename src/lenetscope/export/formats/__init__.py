"""The formats that a trained network can be exported to: one per file, under the file's name."""
