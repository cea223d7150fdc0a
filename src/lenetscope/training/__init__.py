"""The training loop, the engine it runs on, and the state that it changes."""
