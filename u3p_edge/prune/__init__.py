"""Structured pruning: channels that are kept or dropped together, and the smaller graph without them. No TensorFlow."""
