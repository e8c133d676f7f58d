"""A latency table of layers: its values, how it is measured, and what it predicts."""
