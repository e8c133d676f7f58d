"""Exact rewrites of a graph: the same function at less cost. No TensorFlow."""
