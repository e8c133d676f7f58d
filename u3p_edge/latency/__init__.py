"""Latency of a `Graph` in a runtime: measured on this machine, cached, and split by operator."""
