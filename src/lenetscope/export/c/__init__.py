"""A network in whole numbers, and as C: traced, quantised, written, and compiled for the proof."""
