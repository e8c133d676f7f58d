"""Structured pruning: find the channels that must be kept or dropped together, choose which to drop, and build the smaller
graph without them. Nothing here needs TensorFlow.
"""
