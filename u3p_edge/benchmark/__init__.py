"""Benchmark of exported files: accuracy, latency and memory, side by side in one run."""
