"""Measurements of lenetscope and of its alternatives; see README.md in this folder."""
