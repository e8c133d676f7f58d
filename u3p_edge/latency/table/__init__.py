"""Latency table of layers: its data types, how it is measured, and what it predicts."""
