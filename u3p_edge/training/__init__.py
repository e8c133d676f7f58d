"""Losses and the resumable training loop."""
