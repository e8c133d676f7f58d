"""Spatial tiling: a region of a graph computed a few rows at a time."""
